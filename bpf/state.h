/* SPDX-License-Identifier: Apache-2.0 */
/* Maps, settings and counters of the probe, and the one way by which a record leaves it. */
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
const volatile u32 obs_namespaces = 0; /* whether any pid namespace is watched */
const volatile u32 obs_wake_bytes = 512 * 1024;

/* What a thread is in the middle of. */
#define SLOT_IDLE 0
#define SLOT_IN_CALL 1
#define SLOT_NEWBORN 2 /* its first return is that of the call that made it */
#define SLOT_SKIPPED 3 /* in a call nobody chose, or of another ABI */
struct slot {
	u64 start_ns;
	u64 args[6];
	u32 nr;
	u16 state;
	u16 flags;
};

struct scratch {
	u32 busy;
	u32 length; /* bytes of the record so far */
	u32 blobs;
	u32 flags;
	u64 result;
	union {
		/* Named so that the object's type information has every structure that is sent. */
		struct obs_call call;
		struct obs_event event;
		struct obs_blob blob;
		u8 record[OBS_CONTENT_MAX + 2 * OBS_READ_MAX];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring SEC(".maps");

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
	__type(value, struct slot);
} slots SEC(".maps");

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
	__uint(type, BPF_MAP_TYPE_ARRAY); /* one element per CPU; the loader sets how many */
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct obs_counters);
} counters SEC(".maps");

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

static __always_inline struct obs_counters *counting(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&counters, &zero);
}

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
	bpf_map_update_elem(&losses, &key, &first, BPF_ANY);
	return 0;
}

/* Takes this CPU's scratch memory, or counts what cannot be recorded. */
static __always_inline struct scratch *begin(void)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &cpu);

	if (s && !s->busy) {
		s->busy = 1;
		s->blobs = 0;
		s->flags = 0;
		return s;
	}
	return 0;
}

static __always_inline u64 wake(void)
{
	/* A wake-up per record costs more than all else together: one per half mebibyte; the recorder looks by itself too. */
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= obs_wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Sends the first `size` bytes of the record. */
static __always_inline bool send(struct scratch *s, u32 size)
{
	bool sent = false;

	asm volatile("" : "+r"(size));
	if (size <= sizeof(s->record))
		sent = bpf_ringbuf_output(&ring, s->record, size, wake()) == 0;
	s->busy = 0;
	return sent;
}

static __always_inline void account(struct obs_counters *c, bool sent)
{
	c->seen++;
	if (sent) {
		c->sent++;
	} else {
		c->lost_ring++;
		lose(LOST_RING);
	}
}

static __always_inline void account_busy(struct obs_counters *c)
{
	c->seen++;
	c->lost_busy++;
	lose(LOST_BUSY);
}

/* Whether the current process is one to watch. */
static __always_inline bool wanted(u32 pid)
{
	if (obs_self && pid == obs_self)
		return false;
	if (obs_mode & MODE_ALL)
		return true;
	if ((obs_mode & MODE_PIDS) && bpf_map_lookup_elem(&pids, &pid))
		return true;
	if (obs_mode & MODE_CGROUPS) {
		u64 cgroup = bpf_get_current_cgroup_id();
		return bpf_map_lookup_elem(&cgroups, &cgroup) != 0;
	}
	return false;
}

static __always_inline void fill_head(struct obs_head *h, u8 kind, u64 now)
{
	u64 who = bpf_get_current_pid_tgid(), ids = bpf_get_current_uid_gid();

	h->kind = kind;
	h->blobs_low = 0;
	h->flags = 0;
	h->nr = 0;
	h->tid = (u32)who;
	h->pid = who >> 32;
	h->at_ns = now;
	h->cgroup = bpf_get_current_cgroup_id();
	h->uid = (u32)ids;
	h->gid = ids >> 32;
}

#endif
