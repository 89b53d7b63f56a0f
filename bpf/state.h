/* SPDX-License-Identifier: Apache-2.0 */
/* Maps, settings and counters of the probe. */
#ifndef OBSERVER_STATE_H
#define OBSERVER_STATE_H

/* Settings, patched by the loader before the programs are verified; what is switched off costs nothing. */
#define MODE_ALL 1
#define MODE_PIDS 2
#define MODE_CGROUPS 4
const volatile u32 obs_mode = MODE_ALL;
const volatile u32 obs_self = 0;         /* the recorder's own process: never watched */
const volatile u32 obs_string_max = 4096;
const volatile u32 obs_data_max = 32;
const volatile u32 obs_namespaces = 0;   /* whether any pid namespace is watched */
const volatile u32 obs_blocks = 64;      /* blocks of each CPU, at least 2 */
const volatile u32 obs_wake_blocks = 4;  /* wake the recorder when so many are full */

/* What a thread is in the middle of. */
#define SLOT_IDLE 0
#define SLOT_IN_CALL 1
#define SLOT_NEWBORN 2 /* its first return is that of the call that made it */
#define SLOT_SKIPPED 3 /* in a call nobody chose, or of another ABI */
#define OBS_SLOTS 65536
struct slot {
	u32 tid;      /* whose; 0 for nobody's */
	u32 pid;
	u64 start_ns;
	u64 regs;     /* where the thread's registers are while it is in the call */
	u32 nr;
	u16 state;
	u16 flags;
	u64 css;      /* the kernel's own pointers, only ever compared: while they stay, so do cgroup and user */
	u64 cred;
	u64 cgroup;
	u32 uid, gid, euid, egid;
	u32 told;     /* the recorder knows the above */
	u32 zero;
};

/* What is being put together on this CPU. */
struct work {
	u32 block; /* index in `blocks` */
	u32 start; /* where the message begins in it */
	u32 at;    /* where its next byte goes */
	u32 flags;
	u64 result;
	u64 args[6];
};

/* The messages: `obs_blocks` for each CPU, read by the recorder where they are. */
struct block {
	union {
		/* Named so that the object's type information has every structure that is sent. */
		struct obs_call call;
		struct obs_event event;
		struct obs_blob blob;
		u8 bytes[OBS_BLOCK];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct block);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY); /* one element per CPU; the loader sets how many */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct obs_lane);
} lanes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY); /* likewise */
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct work);
} works SEC(".maps");

/* Carries no message: wakes the recorder. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} bell SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OBS_CALLS_MAX);
	__type(key, u32);
	__type(value, struct obs_plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, u32);
} pids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, u32);
} cgroups SEC(".maps");

/* Pid namespaces: who is born in one joins the watched processes, whoever made it (an `exec` into a container). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u32);
} namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct obs_loss_key);
	__type(value, struct obs_loss);
} losses SEC(".maps");

#define LOST_RING 1
#define LOST_BUSY 2
#define LOST_UNTRACKED 3
#define LOST_FOREIGN 4
#define LOST_URING 5

/* This CPU's element of an array with one for each. */
#define MINE(map) \
	({ \
		u32 cpu_ = bpf_get_smp_processor_id(); \
		bpf_map_lookup_elem(&(map), &cpu_); \
	})

/* Counts a loss where and whose it was; only this CPU writes this key. */
__noinline int lose(u32 what)
{
	struct obs_loss_key key = {};
	u64 now = bpf_ktime_get_ns();

	key.cgroup = bpf_get_current_cgroup_id();
	key.cpu = bpf_get_smp_processor_id();
	key.what = what;
	struct obs_loss *found = bpf_map_lookup_elem(&losses, &key);
	if (found) {
		found->count++;
		found->last_ns = now;
		return 0;
	}
	struct obs_loss first = {.count = 1, .first_ns = now, .last_ns = now};
	if (!bpf_map_update_elem(&losses, &key, &first, BPF_ANY))
		return 0;
	key.cgroup = 0; /* the table is full: these are there from the start */
	found = bpf_map_lookup_elem(&losses, &key);
	if (found) {
		if (!found->count++)
			found->first_ns = now;
		found->last_ns = now;
	}
	return 0;
}

static __always_inline void untracked(void)
{
	struct obs_lane *lane = MINE(lanes);

	if (lane)
		lane->untracked++;
	lose(LOST_UNTRACKED);
}

#endif
