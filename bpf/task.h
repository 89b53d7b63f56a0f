/* SPDX-License-Identifier: Apache-2.0 */
/* The running thread: what the kernel says of it, and what the probe remembers of it. */
#ifndef OBSERVER_TASK_H
#define OBSERVER_TASK_H

/*
 * Linux 5.11 and later give a typed pointer to the running thread, whose fields are plain loads. Before, every field is a call.
 * A call costs more than all else here: with the mitigations of today each return takes tens of cycles.
 */
enum bpf_func_id___task { BPF_FUNC_get_current_task_btf = 158 };
#define TYPED bpf_core_enum_value_exists(enum bpf_func_id___task, BPF_FUNC_get_current_task_btf)
#define HOT(task, field) (TYPED ? (task)->field : BPF_CORE_READ(task, field))

static __always_inline struct task_struct *running(void)
{
	return TYPED ? bpf_get_current_task_btf() : (void *)bpf_get_current_task();
}

/* Slots lie in an array by the lower bits of the thread's id; who finds his place taken gets one in a table. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OBS_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, struct slot);
} spilled SEC(".maps");

u32 obs_any_spilled; /* the table was ever used */

static __always_inline struct slot *slot_of(u32 tid)
{
	u32 index = tid & (OBS_SLOTS - 1);
	struct slot *slot = bpf_map_lookup_elem(&slots, &index);

	if (slot && slot->tid == tid)
		return slot;
	return obs_any_spilled ? bpf_map_lookup_elem(&spilled, &tid) : 0;
}

/* A new slot for a thread that has none, or what is left of a thread that had the id before. */
static __noinline struct slot *make_slot(u32 tid, u32 pid)
{
	u32 index = tid & (OBS_SLOTS - 1);
	struct slot *slot = bpf_map_lookup_elem(&slots, &index);

	if (!slot || (slot->tid && slot->tid != tid)) {
		struct slot fresh = {};
		obs_any_spilled = 1;
		bpf_map_update_elem(&spilled, &tid, &fresh, BPF_ANY);
		slot = bpf_map_lookup_elem(&spilled, &tid);
	} else {
		__builtin_memset(slot, 0, sizeof(*slot));
	}
	if (slot) {
		slot->tid = tid;
		slot->pid = pid;
	}
	return slot;
}

static __always_inline void drop_slot(struct slot *slot)
{
	u32 tid = slot->tid;

	slot->tid = 0;
	if (obs_any_spilled)
		bpf_map_delete_elem(&spilled, &tid);
}

static __always_inline bool foreign(struct task_struct *task, u64 nr)
{
#if defined(__TARGET_ARCH_x86)
	return (nr & X32_BIT) || (HOT(task, thread_info.status) & TS_COMPAT);
#else
	(void)nr;
	return HOT(task, thread_info.flags) & (1 << 22); /* TIF_32BIT. Source: asm/thread_info.h */
#endif
}

/* Whether a process that has no slot yet is one to watch. */
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

/* Whether cgroup and user may be others than the slot says. */
static __always_inline bool moved(struct slot *slot, struct task_struct *task)
{
	return slot->css != (u64)HOT(task, cgroups) || slot->cred != (u64)HOT(task, cred);
}

/* Takes them over anew; what is not as it was has to be told. */
static __always_inline void settle(struct slot *slot, struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);
	u64 cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	u32 uid = BPF_CORE_READ(cred, uid.val), gid = BPF_CORE_READ(cred, gid.val);
	u32 euid = BPF_CORE_READ(cred, euid.val), egid = BPF_CORE_READ(cred, egid.val);

	slot->css = (u64)HOT(task, cgroups);
	slot->cred = (u64)cred;
	if (slot->cgroup != cgroup || slot->uid != uid || slot->gid != gid || slot->euid != euid || slot->egid != egid)
		slot->told = 0;
	slot->cgroup = cgroup;
	slot->uid = uid;
	slot->gid = gid;
	slot->euid = euid;
	slot->egid = egid;
}

#endif
