  ;; SPDX-License-Identifier: Apache-2.0
  ;; The fixed part of the recorder; trampolines.py writes the imports before it and one wrapper per function after it.
  ;; $plugin is the plugin's memory and is only ever read here. $ring is the recorder's own. All arithmetic on what the
  ;; plugin says is done in 64 bits, so nothing wraps.
  (import "host" "now" (func $now (result i64)))
  (import "host" "drain" (func $drain))
  (import "host" "too_big" (func $too_big))
  (import "host" "guard" (func $guard (param i32 i32 i32)))
  (import "plugin" "memory" (memory $plugin 0))
  (import "ring" "memory" (memory $ring 1))
  (export "memory" (memory $plugin))
  (global $rec (mut i32) (i32.const 4096))        ;; where the record begun last begins
  (global $cur (mut i32) (i32.const 4096))        ;; where its next byte goes
  (global $end (mut i32) (i32.const @RING_BYTES@)) ;; size of the ring
  (global $flags (mut i32) (i32.const 0))
  (global $budget (mut i32) (i32.const 0))        ;; bytes of content that this record may still take at entry
  (global $open (mut i32) (i32.const @OPEN@))     ;; open descriptors

  ;; n * size, at most 2^31 - 1
  (func $times (param $n i32) (param $size i32) (result i32)
    (local $bytes i64)
    (local.set $bytes (i64.mul (i64.extend_i32_u (local.get $n)) (i64.extend_i32_u (local.get $size))))
    (if (result i32) (i64.gt_u (local.get $bytes) (i64.const 0x7fffffff))
      (then (i32.const 0x7fffffff)) (else (i32.wrap_i64 (local.get $bytes)))))

  ;; bytes of [addr, addr + len) that lie in the plugin's memory
  (func $inside (param $addr i32) (param $len i32) (result i32)
    (local $room i64)
    (local.set $room (i64.sub (i64.shl (i64.extend_i32_u (memory.size $plugin)) (i64.const 16))
                              (i64.extend_i32_u (local.get $addr))))
    (if (i64.le_s (local.get $room) (i64.const 0)) (then (return (i32.const 0))))
    (if (result i32) (i64.lt_u (local.get $room) (i64.extend_i32_u (local.get $len)))
      (then (i32.wrap_i64 (local.get $room))) (else (local.get $len))))

  ;; makes sure that `need` more bytes fit behind $cur
  (func $room (param $need i32)
    (if (i64.gt_u (i64.add (i64.extend_i32_u (global.get $cur)) (i64.extend_i32_u (local.get $need)))
                  (i64.extend_i32_u (global.get $end)))
      (then (call $make_room (local.get $need)))))

  ;; has the host take the finished records, moves the unfinished one to the front, and grows the ring if that is not enough
  (func $make_room (param $need i32)
    (local $have i32) (local $want i64) (local $pages i32)
    (call $drain)
    (local.set $have (i32.sub (global.get $cur) (global.get $rec)))
    (memory.copy $ring $ring (i32.const 4096) (global.get $rec) (local.get $have))
    (global.set $rec (i32.const 4096))
    (global.set $cur (i32.add (i32.const 4096) (local.get $have)))
    (i32.store $ring offset=8 (i32.const 0) (i32.const 4096))
    (local.set $want (i64.add (i64.extend_i32_u (global.get $cur)) (i64.extend_i32_u (local.get $need))))
    (if (i64.gt_u (local.get $want) (i64.const 0x3000000)) (then (call $too_big)))  ;; 48 MiB, below a chunk's 64
    (if (i64.gt_u (local.get $want) (i64.extend_i32_u (global.get $end)))
      (then
        (local.set $pages (i32.wrap_i64 (i64.shr_u
          (i64.add (i64.sub (local.get $want) (i64.extend_i32_u (global.get $end))) (i64.const 65535)) (i64.const 16))))
        (if (i32.eq (memory.grow $ring (local.get $pages)) (i32.const -1)) (then (call $too_big)))
        (global.set $end (i32.add (global.get $end) (i32.shl (local.get $pages) (i32.const 16)))))))

  ;; a blob: tag, address, bytes asked for, bytes kept, the bytes, padding to 8
  (func $blob (param $tag i32) (param $addr i32) (param $len i32) (param $kept i32)
    (local $size i32)
    (local.set $size (i32.and (i32.add (local.get $kept) (i32.const 23)) (i32.const -8)))
    (call $room (local.get $size))
    (i64.store $ring (i32.sub (i32.add (global.get $cur) (local.get $size)) (i32.const 8)) (i64.const 0))
    (i32.store $ring (global.get $cur) (local.get $tag))
    (i32.store $ring offset=4 (global.get $cur) (local.get $addr))
    (i32.store $ring offset=8 (global.get $cur) (local.get $len))
    (i32.store $ring offset=12 (global.get $cur) (local.get $kept))
    (memory.copy $ring $plugin (i32.add (global.get $cur) (i32.const 16)) (local.get $addr) (local.get $kept))
    (global.set $cur (i32.add (global.get $cur) (local.get $size))))

  ;; bytes that the plugin hands over; content beyond the record's budget is clipped, and flagged
  (func $copy_in (param $tag i32) (param $addr i32) (param $len i32)
    (local $kept i32)
    (local.set $kept (call $inside (local.get $addr) (local.get $len)))
    (if (i32.ne (local.get $kept) (local.get $len))
      (then (global.set $flags (i32.or (global.get $flags) (i32.const 4)))))
    (if (i32.gt_u (local.get $kept) (global.get $budget))
      (then (local.set $kept (global.get $budget))
            (global.set $flags (i32.or (global.get $flags) (i32.const 8)))))
    (global.set $budget (i32.sub (global.get $budget) (local.get $kept)))
    (if (i32.eqz (local.get $kept)) (then (local.set $addr (i32.const 0))))
    (call $blob (local.get $tag) (local.get $addr) (local.get $len) (local.get $kept)))

  ;; bytes that the host left; never clipped, since a replay needs them
  (func $copy_out (param $tag i32) (param $addr i32) (param $len i32)
    (local $kept i32)
    (local.set $kept (call $inside (local.get $addr) (local.get $len)))
    (if (i32.ne (local.get $kept) (local.get $len))
      (then (global.set $flags (i32.or (global.get $flags) (i32.const 4)))))
    (if (i32.eqz (local.get $kept)) (then (local.set $addr (i32.const 0))))
    (call $blob (local.get $tag) (local.get $addr) (local.get $len) (local.get $kept)))

  ;; an array of iovecs and what they point to; of more than 1024 the rest is flagged as clipped
  (func $gather (param $tag i32) (param $iovs i32) (param $count i32)
    (local $at i32) (local $bytes i32) (local $i i32)
    (if (i32.gt_u (local.get $count) (i32.const 1024))
      (then (local.set $count (i32.const 1024))
            (global.set $flags (i32.or (global.get $flags) (i32.const 8)))))
    (local.set $bytes (i32.shl (local.get $count) (i32.const 3)))
    (local.set $at (i32.sub (global.get $cur) (global.get $rec)))
    (call $copy_in (local.get $tag) (local.get $iovs) (local.get $bytes))
    (local.set $bytes (i32.load $ring offset=12 (i32.add (global.get $rec) (local.get $at))))
    (loop $next
      (if (i32.le_u (i32.add (local.get $i) (i32.const 8)) (local.get $bytes))
        (then
          (call $copy_in (local.get $tag)
            (i32.load $ring offset=16 (i32.add (i32.add (global.get $rec) (local.get $at)) (local.get $i)))
            (i32.load $ring offset=20 (i32.add (i32.add (global.get $rec) (local.get $at)) (local.get $i))))
          (local.set $i (i32.add (local.get $i) (i32.const 8)))
          (br $next)))))

  ;; what was written through iovecs, which are read from their copy: the call may have overwritten the original
  (func $scatter (param $tag i32) (param $at i32) (param $left i32)
    (local $bytes i32) (local $i i32) (local $len i32)
    (local.set $bytes (i32.load $ring offset=12 (i32.add (global.get $rec) (local.get $at))))
    (loop $next
      (if (i32.and (i32.ne (local.get $left) (i32.const 0))
                   (i32.le_u (i32.add (local.get $i) (i32.const 8)) (local.get $bytes)))
        (then
          (local.set $len
            (i32.load $ring offset=20 (i32.add (i32.add (global.get $rec) (local.get $at)) (local.get $i))))
          (if (i32.gt_u (local.get $len) (local.get $left)) (then (local.set $len (local.get $left))))
          (if (local.get $len) (then
            (call $copy_out (local.get $tag)
              (i32.load $ring offset=16 (i32.add (i32.add (global.get $rec) (local.get $at)) (local.get $i)))
              (local.get $len))))
          (local.set $left (i32.sub (local.get $left) (local.get $len)))
          (local.set $i (i32.add (local.get $i) (i32.const 8)))
          (br $next))))
    (if (local.get $left) (then (call $too_big))))

  ;; what an out-parameter says was used, when the call succeeded
  (func $written (param $addr i32) (param $r i32) (result i32)
    (if (i32.or (local.get $r) (i32.lt_u (call $inside (local.get $addr) (i32.const 4)) (i32.const 4)))
      (then (return (i32.const 0))))
    (i32.load $plugin (local.get $addr)))

  ;; what was asked for, but of a failed call at most 64 KiB: some of it may have been written before it failed
  (func $asked (param $r i32) (param $capacity i32) (result i32)
    (if (i32.and (i32.ne (local.get $r) (i32.const 0)) (i32.gt_u (local.get $capacity) (i32.const 65536)))
      (then (return (i32.const 65536))))
    (local.get $capacity))

  (func $told (param $addr i32) (param $r i32) (param $capacity i32) (result i32)
    (if (result i32) (local.get $r)
      (then (call $asked (local.get $r) (local.get $capacity)))
      (else (call $written (local.get $addr) (i32.const 0)))))

  ;; bytes of `used` entries, at most of `capacity`
  (func $used (param $used i32) (param $capacity i32) (param $size i32) (result i32)
    (call $times
      (select (local.get $used) (local.get $capacity) (i32.lt_u (local.get $used) (local.get $capacity)))
      (local.get $size)))

  (func $opened (param $change i32)
    (global.set $open (i32.add (global.get $open) (local.get $change))))

  ;; what the host decided about this call: flags at 12, length of the reason at 16, the reason at 64
  (func $decision (param $tag i32)
    (local $len i32) (local $size i32)
    (local.set $len (i32.load $ring offset=16 (i32.const 0)))
    (if (i32.gt_u (local.get $len) (i32.const 2048)) (then (local.set $len (i32.const 2048))))
    (global.set $flags (i32.or (global.get $flags) (i32.load $ring offset=12 (i32.const 0))))
    (local.set $size (i32.and (i32.add (local.get $len) (i32.const 23)) (i32.const -8)))
    (call $room (local.get $size))
    (i64.store $ring (i32.sub (i32.add (global.get $cur) (local.get $size)) (i32.const 8)) (i64.const 0))
    (i32.store $ring (global.get $cur) (local.get $tag))
    (i32.store $ring offset=4 (global.get $cur) (i32.const 0))
    (i32.store $ring offset=8 (global.get $cur) (local.get $len))
    (i32.store $ring offset=12 (global.get $cur) (local.get $len))
    (memory.copy $ring $ring (i32.add (global.get $cur) (i32.const 16)) (i32.const 64) (local.get $len))
    (global.set $cur (i32.add (global.get $cur) (local.get $size)))
    (i32.store $ring offset=12 (i32.const 0) (i32.const 0))
    (i32.store $ring offset=16 (i32.const 0) (i32.const 0)))
