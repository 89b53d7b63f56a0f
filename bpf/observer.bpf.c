// SPDX-License-Identifier: Apache-2.0
/*
 * Observer's probe: every system call of what is watched, its outcome and the memory its arguments named, in one message
 * written when it returns. Raw tracepoints with BTF only: no kprobes, no kernel headers. The contract is docs/spec/bpf-abi.md.
 *
 * SPDX and GPL: helpers that read user memory are offered to programs that declare a GPL-compatible license; Apache-2.0
 * sources are dual-declared here for the kernel, as its module loader understands it.
 */
#include "types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "record.h"

#define X32_BIT 0x40000000
#define TS_COMPAT 2            /* thread_info.status; x86. Source: asm/thread_info.h */
#define OBS_LATE 0x4000        /* of a slot, never sent: what the kernel reads is still there when the call returns */
#define SECCOMP_MODE_FILTER 2  /* Source: linux/seccomp.h */

#include "state.h"
#include "lane.h"
#include "task.h"
#include "memory.h"
#include "lives.h"
#include "cgroups.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline void fill_args(struct obs_call *r, const u64 *args, u32 count)
{
	r->head.args = count;
	if (count > 0)
		r->args[0] = args[0];
	if (count > 1)
		r->args[1] = args[1];
	if (count > 2)
		r->args[2] = args[2];
	if (count > 3)
		r->args[3] = args[3];
	if (count > 4)
		r->args[4] = args[4];
	if (count > 5)
		r->args[5] = args[5];
}

static __always_inline void load_args(struct work *work, struct pt_regs *regs)
{
	work->args[0] = OBS_ARG0(regs);
	work->args[1] = OBS_ARG1(regs);
	work->args[2] = OBS_ARG2(regs);
	work->args[3] = OBS_ARG3(regs);
	work->args[4] = OBS_ARG4(regs);
	work->args[5] = OBS_ARG5(regs);
}

static __always_inline u32 args_of(struct obs_plan *plan)
{
	return plan ? plan->args : 6;
}

static __always_inline u32 bound_of(struct obs_plan *plan)
{
	return plan ? plan->bound : OBS_FIXED;
}

#define CALL_BYTES(args) (sizeof(struct obs_head) + 8 + 8 * (args))

/* Completes the call that was begun and hands it over. */
static __always_inline void finish(struct obs_lane *lane, struct work *work, struct obs_call *r, u32 flags)
{
	flags |= work->flags;
	r->head.flags = flags;
	r->head.words = (work->at - work->start) >> 3;
	if (flags & OBS_CUT)
		lane->cut++;
	if (flags & OBS_UNREADABLE)
		lane->unreadable++;
	send(lane, work);
}

static __always_inline u64 arg_of(struct pt_regs *regs, u32 which)
{
	switch (which) {
	case 0:
		return OBS_ARG0(regs);
	case 1:
		return OBS_ARG1(regs);
	case 2:
		return OBS_ARG2(regs);
	case 3:
		return OBS_ARG3(regs);
	case 4:
		return OBS_ARG4(regs);
	}
	return OBS_ARG5(regs);
}

/* Reads memory before the call runs, or records the call that will not return. */
static __noinline int early(u32 nr, struct pt_regs *regs, struct slot *slot)
{
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);
	struct obs_plan *plan = bpf_map_lookup_elem(&plans, &nr);

	if (!lane || !work || !plan)
		return 0;
	bool last = plan->flags & OBS_NO_RETURN;
	if ((plan->flags & OBS_EARLY_IF) && !(steps_for(plan, arg_of(regs, plan->select_arg)) & plan->exit_steps)) {
		slot->flags |= OBS_LATE;
		return 0;
	}
	enum begun begun = begin(lane, work, bound_of(plan));
	if (begun != BEGUN) {
		if (last)
			lost(lane, begun);
		else
			lane->early_lost++;
		return 0;
	}
	struct obs_call *r = message(work);
	if (!r)
		return 0;
	u64 now = bpf_ktime_get_ns();
	u32 args = plan->args;
	fill_head(&r->head, slot, last ? OBS_CALL : OBS_ENTRY, nr, now);
	r->head.duration_low = 0;
	r->head.duration_high = 0;
	r->result = 0;
	load_args(work, regs);
	fill_args(r, work->args, args);
	work->result = 0;
	work->at += CALL_BYTES(args);
	take(plan, work, nr, BEFORE);
	if (!last) {
		slot->flags |= OBS_HAS_ENTRY;
		lane->seen--; /* not counted: the call it belongs to is */
		lane->sent--;
	}
	finish(lane, work, r, last ? OBS_NO_RESULT : 0);
	return 0;
}

SEC("tp_btf/sys_enter")
int on_enter(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	u32 nr = ctx[1];
	struct task_struct *task = running();
	struct slot *slot = watched(task);

	if (!slot)
		return 0;
	slot->flags = 0;
	if (foreign(task, ctx[1])) {
		slot->state = SLOT_SKIPPED;
		struct obs_lane *lane = MINE(lanes);
		if (lane)
			lane->foreign++;
		lose(LOST_FOREIGN);
		return 0;
	}
	struct obs_plan *plan = bpf_map_lookup_elem(&plans, &nr);
	u32 flags = plan ? plan->flags : OBS_WANTED;
	if (!(flags & OBS_WANTED)) {
		slot->state = SLOT_SKIPPED;
		if (!slot->start_ns)
			slot->start_ns = 1; /* met */
		return 0;
	}
	slot->nr = nr;
	slot->regs = (u64)regs;
	slot->start_ns = bpf_ktime_get_ns();
	slot->state = flags & OBS_NO_RETURN ? SLOT_SKIPPED : SLOT_IN_CALL;
	if (flags & (OBS_READ_EARLY | OBS_NO_RETURN))
		early(nr, regs, slot);
	return 0;
}

/*
 * A return without an entry: refused before the call began, or begun before it was watched, or no call at all.
 * Answers with flags of the call to record, or with a negative number.
 */
static __noinline int unannounced(struct pt_regs *regs, struct slot *slot, struct task_struct *task, u64 result)
{
	u64 nr = OBS_NUMBER(regs);
	bool known = slot->start_ns != 0;

	if (slot->state == SLOT_SKIPPED || slot->state == SLOT_NEWBORN) {
		slot->state = SLOT_IDLE;
		return -1;
	}
	if (nr >= OBS_CALLS_MAX || foreign(task, nr))
		return -1; /* a return from a signal handler */
	slot->nr = nr;
	slot->start_ns = bpf_ktime_get_ns();
	slot->flags = 0;
	if (!known)
		return OBS_START_UNKNOWN;
	bool filtered = BPF_CORE_READ(task, seccomp.mode) == SECCOMP_MODE_FILTER;
	return filtered && ((s64)result < 0 || result == nr) ? OBS_SECCOMP : 0;
}

SEC("tp_btf/sys_exit")
int on_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	struct task_struct *task = running();
	struct slot *slot = watched(task);
	int flags = 0;

	if (!slot)
		return 0;
	if (slot->state != SLOT_IN_CALL) {
		flags = unannounced(regs, slot, task, ctx[1]);
		if (flags < 0)
			return 0;
	}
	u32 nr = slot->nr;
	slot->state = SLOT_IDLE;
	struct obs_plan *plan = bpf_map_lookup_elem(&plans, &nr);
	if (plan && !(plan->flags & OBS_WANTED))
		return 0;
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);
	if (!lane || !work)
		return 0;
	enum begun begun = begin(lane, work, bound_of(plan));
	if (begun != BEGUN) {
		lost(lane, begun);
		return 0;
	}
	struct obs_call *r = message(work);
	if (!r)
		return 0;
	u64 now = bpf_ktime_get_ns(), took = now - slot->start_ns;
	u32 args = args_of(plan);
	fill_head(&r->head, slot, OBS_CALL, nr, now);
	if (took > OBS_LONGEST)
		took = OBS_LONGEST;
	r->head.duration_low = took;
	r->head.duration_high = took >> 32;
	r->result = ctx[1];
	load_args(work, regs);
	fill_args(r, work->args, args);
	work->result = ctx[1];
	work->at += CALL_BYTES(args);
	if (plan && plan->steps_count) {
		take_plain(plan, work);
		bool before = (plan->flags & OBS_READ_EARLY) && !(slot->flags & OBS_LATE);
		take(plan, work, nr, before && !(flags & (OBS_SECCOMP | OBS_START_UNKNOWN)) ? AFTER : BOTH);
	}
	finish(lane, work, r, flags | (slot->flags & ~OBS_LATE));
	return 0;
}
