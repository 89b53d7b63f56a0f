;; SPDX-License-Identifier: Apache-2.0
;; Pieces of every wrapper. $at is where the record begins; it is read again after anything that may move the record.
;;; begin
    (if (i32.gt_u (i32.add (global.get $cur) (i32.const @HEAD@)) (global.get $end))
      (then (call $make_room (i32.const @HEAD@))))
    (local.set $at (global.get $rec))
    (i32.store $ring offset=4 (local.get $at) (i32.const @FUNCTION@))
    (global.set $flags (i32.const 0))
    (global.set $budget (i32.const 0x1000000))  ;; 16 MiB
    (global.set $cur (i32.add (local.get $at) (i32.const @HEAD@)))
;;; enter
    (local.set $at (global.get $rec))
    (i32.store $ring offset=28 (local.get $at) (i32.sub (global.get $cur) (local.get $at)))
    (i64.store $ring offset=8 (local.get $at) (call $now))
    (i32.store $ring offset=4 (i32.const 0) (i32.const 1))
;;; leave
    (local.set $at (global.get $rec))
    (i64.store $ring offset=16 (local.get $at) (call $now))
    (i32.store $ring offset=24 (local.get $at) (local.get $r))
    (i32.store $ring offset=4 (i32.const 0) (i32.const 2))
;;; commit
    (local.set $at (global.get $rec))
    (i32.store $ring (local.get $at) (i32.sub (global.get $cur) (local.get $at)))
    (i32.store16 $ring offset=6 (local.get $at) (global.get $flags))
    (local.set $at (global.get $cur))
    (global.set $rec (local.get $at))
    (i64.store $ring offset=4 (i32.const 0) (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)))
    (i32.store $ring (i32.const 0) (local.get $at))
;;; out8
    (local.set $at (global.get $cur))
    (if (i32.and (i64.le_u (i64.add (i64.extend_i32_u (local.get @INDEX@)) (i64.const 8))
                           (i64.shl (i64.extend_i32_u (memory.size $plugin)) (i64.const 16)))
                 (i32.le_u (i32.add (local.get $at) (i32.const 24)) (global.get $end)))
      (then
        (i32.store $ring (local.get $at) (i32.const @INDEX@))
        (i32.store $ring offset=4 (local.get $at) (local.get @INDEX@))
        (i64.store $ring offset=8 (local.get $at) (i64.const 0x800000008))
        (i64.store $ring offset=16 (local.get $at) (i64.load $plugin (local.get @INDEX@)))
        (global.set $cur (i32.add (local.get $at) (i32.const 24))))
      (else (call $copy_out (i32.const @INDEX@) (local.get @INDEX@) (i32.const 8))))
;;; out4
    (local.set $at (global.get $cur))
    (if (i32.and (i64.le_u (i64.add (i64.extend_i32_u (local.get @INDEX@)) (i64.const 4))
                           (i64.shl (i64.extend_i32_u (memory.size $plugin)) (i64.const 16)))
                 (i32.le_u (i32.add (local.get $at) (i32.const 24)) (global.get $end)))
      (then
        (i32.store $ring (local.get $at) (i32.const @INDEX@))
        (i32.store $ring offset=4 (local.get $at) (local.get @INDEX@))
        (i64.store $ring offset=8 (local.get $at) (i64.const 0x400000004))
        (i64.store $ring offset=16 (local.get $at) (i64.load32_u $plugin (local.get @INDEX@)))
        (global.set $cur (i32.add (local.get $at) (i32.const 24))))
      (else (call $copy_out (i32.const @INDEX@) (local.get @INDEX@) (i32.const 4))))
