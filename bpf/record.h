/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes between the probe in the kernel and the recorder: docs/spec/bpf-abi.md is the contract, this file is its C form,
 * rust/observer-probe/src/abi.rs its Rust form; a test compares all three with the object's own BTF.
 * Every field is of fixed width and naturally aligned; there is no implicit padding.
 */
#ifndef OBSERVER_RECORD_H
#define OBSERVER_RECORD_H

#define OBS_ABI_VERSION 4

#define OBS_CALLS_MAX 512       /* syscall numbers with a plan; larger ones are recorded without memory */
#define OBS_STEPS_MAX 40        /* readings of memory in one plan */
#define OBS_SELECT_MAX 16       /* values of the argument that tells which readings apply */
#define OBS_VALUES_MAX 16       /* values a condition compares with */
#define OBS_CONTENT_MAX 0x10000 /* no further memory is taken once a record is this long */
#define OBS_READ_MAX 0x1000     /* most that is taken from one place: PATH_MAX */
#define OBS_PARTS_MAX 1024      /* strings of one vector */
#define OBS_IOVECS_MAX 16       /* buffers of one vector whose bytes are taken */
#define OBS_BLOCK 0x20000       /* a lane's messages lie in blocks of so many bytes, each message whole in one block */
#define OBS_BLOCK_HEAD 8        /* a closed block begins with the number of bytes in use, then that of the block that follows */
#define OBS_BLOCKS_MAX 1024     /* blocks of one CPU */
#define OBS_LONGEST ((1ull << 48) - 1) /* no duration is told longer: 78 hours */

enum obs_kind {
	OBS_CALL = 1,   /* a call with its outcome */
	OBS_ENTRY = 2,  /* memory read before the call ran; its OBS_CALL follows */
	OBS_FORK = 3,
	OBS_EXEC = 4,
	OBS_EXIT = 5,
	OBS_SIGNAL = 6,
	OBS_PLACE = 7,  /* a thread's cgroup or user: before its first message, and when they changed */
	OBS_CGROUP = 8, /* a cgroup was made, by the thread in the head; text: its path in the unified hierarchy */
};

enum obs_flag {
	OBS_NO_RESULT = 1,
	OBS_UNREADABLE = 2,
	OBS_SECCOMP = 8,
	OBS_START_UNKNOWN = 16, /* the call had begun before it was watched */
	OBS_HAS_ENTRY = 0x100,  /* an OBS_ENTRY was sent for this call */
	OBS_CUT = 0x200,        /* some memory was kept only in part */
	OBS_GROUP_DEAD = 0x400, /* OBS_EXIT: the last thread of its process */
	OBS_THREAD = 0x800,     /* OBS_FORK: a thread, not a process */
};

struct obs_head {
	__u16 words;         /* length of the message in units of 8 bytes, this head included */
	__u8 kind;
	__u8 args;           /* CALL, ENTRY: registers that follow */
	__u32 nr;            /* syscall number; OBS_SIGNAL: signal number */
	__u32 tid;
	__u32 pid;
	__u64 at_ns;         /* CLOCK_MONOTONIC: when the message was made; of a call, its return */
	__u32 duration_low;  /* CALL: entry to return, ns, lower 32 bits */
	__u16 duration_high; /* and upper 16 */
	__u16 flags;
};

/* Then `head.args` registers, then blobs up to the end of the message. */
struct obs_call {
	struct obs_head head;
	__s64 result;
	__u64 args[6];
};

struct obs_blob {
	__u8 what;     /* bits 0-2 argument, bit 3 after the call, bit 4 cut short */
	__u8 zero;
	__u16 part;
	__u32 length;  /* bytes that follow, then padding to a multiple of 8 */
};

struct obs_event {
	struct obs_head head;
	__u64 cgroup;      /* id of the cgroup v2 directory; CGROUP: of the new one */
	__u32 uid;
	__u32 gid;
	__u32 euid;
	__u32 egid;
	__u32 other_tid;   /* FORK: the child's thread; EXEC: the thread id before; SIGNAL: sender's pid */
	__u32 other_pid;   /* FORK: the child's process; SIGNAL: sender's uid */
	__s32 code;        /* EXIT: wait status; SIGNAL: si_code; FORK: the word behind `arg` */
	__u32 ns_pid;      /* FORK, EXEC, PLACE: id of the (child) process in its own pid namespace */
	__u32 pid_ns;      /* inode number of that namespace */
	__u32 length;      /* EXEC, CGROUP: bytes of text that follow */
	__u64 arg;         /* FORK: first argument of the call that made the child */
};

enum obs_shape {
	OBS_STRING = 1,
	OBS_DATA = 2,
	OBS_STRUCT = 3,
	OBS_STRINGS = 4,
	OBS_COUNT = 5,
	OBS_IOVEC = 6,
	OBS_MSGHDR = 7,
};

enum obs_length {
	OBS_CONST = 1,
	OBS_ARG = 2,        /* args[a] */
	OBS_ARG_TIMES = 3,  /* args[a] * n */
	OBS_RESULT = 4,
	OBS_RESULT_TIMES = 5,
	OBS_DEREF = 6,      /* the u32 behind args[a] */
	OBS_ARG_BITS = 7,   /* one bit for each of args[a], in words of 8 bytes */
};

enum obs_condition { OBS_ALWAYS = 0, OBS_IN = 1, OBS_NOT_IN = 2 };

struct obs_step {
	__u8 arg;
	__u8 at_exit;      /* 1: memory the kernel writes */
	__u8 shape;
	__u8 length;
	__u8 length_arg;
	__u8 condition;
	__u8 condition_arg;
	__u8 on_error;
	__u32 n;
	__u16 values_count;
	__u16 most;        /* STRUCT: bytes to keep at most */
	__u64 mask;
	__u64 values[OBS_VALUES_MAX];
};

enum obs_plan_flag {
	OBS_WANTED = 1,     /* the caller chose this call */
	OBS_READ_EARLY = 2, /* memory the kernel reads is read before the call: the call overwrites or abandons it */
	OBS_NO_RETURN = 4,  /* recorded when it begins: there may be no end */
	OBS_EARLY_IF = 8,   /* with 2: only when one of the steps at exit applies, by its condition */
};

struct obs_plan {
	__u32 flags;
	__u32 steps_count;
	__u32 args;  /* registers that mean something */
	__u32 bound; /* no message of this call is longer */
	__u32 select_arg;   /* the argument that tells which steps may apply; 6 or more for none */
	__u32 select_count; /* values in use */
	__u32 text;         /* the argument that is text in every case, read at exit without a step; 6 or more for none */
	__u32 filled;       /* and the one behind which the kernel fills in a structure in every case it succeeds, likewise: */
	__u64 filled_bytes; /* its size */
	__u64 select_mask;
	__u64 select_values[OBS_SELECT_MAX];
	__u64 select_steps[OBS_SELECT_MAX]; /* bits of the steps that may apply with this value, */
	__u64 other_steps;                  /* and with any other */
	__u64 exit_steps;                   /* bits of the steps at exit */
	struct obs_step steps[OBS_STEPS_MAX];
};

/*
 * One per CPU: where that CPU's messages are, and what it counted. Only that CPU writes, but for `done` and `free`.
 * seen = sent + lost_ring + lost_busy.
 */
struct obs_lane {
	__u64 head;       /* upper half: blocks closed so far; lower half: bytes in use in the one being filled */
	__u32 open;       /* a message is being written */
	__u32 block;      /* the block being filled */
	__u64 seen;       /* calls and events that were to be sent */
	__u64 sent;
	__u64 lost_ring;  /* every block was full */
	__u64 lost_busy;  /* two messages would have been built at once on one CPU */
	__u64 untracked;  /* calls or processes that could not be noted: a table was full */
	__u64 foreign;    /* calls of another ABI: 32-bit or x32 */
	__u64 early_lost; /* OBS_ENTRY that did not fit; their calls came without that memory */
	__u64 cut;        /* messages with OBS_CUT */
	__u64 unreadable; /* messages with OBS_UNREADABLE */
	__u64 uring;      /* operations submitted through io_uring */
	__u64 rung;       /* blocks closed when the recorder was last woken */
	__u64 spare[3];   /* keeps what the recorder writes on cache lines of its own */
	__u64 done;       /* blocks the recorder has done with */
	__u64 spare_too[7];
	__u8 free[OBS_BLOCKS_MAX]; /* 1: may be filled. The recorder sets it, the probe clears it */
};

struct obs_loss_key {
	__u64 cgroup;
	__u32 cpu;
	__u32 what; /* 1 ring full, 2 busy, 3 untracked, 4 foreign, 5 io_uring */
};

struct obs_loss {
	__u64 count;
	__u64 first_ns;
	__u64 last_ns;
};

#endif
