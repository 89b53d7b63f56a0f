// SPDX-License-Identifier: Apache-2.0
/*
 * Observer's probe: every system call of what is watched, its outcome and the memory its arguments named, in one record
 * written when it returns. Raw tracepoints with BTF only: no kprobes, no kernel headers. The contract is docs/spec/bpf-abi.md.
 *
 * SPDX and GPL: helpers that read user memory are offered to programs that declare a GPL-compatible license; Apache-2.0
 * sources are dual-declared here for the kernel, as its module loader understands it.
 */
#include "types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "record.h"
#include "state.h"
#include "memory.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define X32_BIT 0x40000000
#define TS_COMPAT 2            /* thread_info.status; x86. Source: asm/thread_info.h */
#define SECCOMP_MODE_FILTER 2  /* Source: linux/seccomp.h */

static __always_inline struct task_struct *current(void)
{
	return (void *)bpf_get_current_task();
}

static __always_inline bool foreign(u64 nr)
{
#if defined(__TARGET_ARCH_x86)
	return (nr & X32_BIT) || (BPF_CORE_READ(current(), thread_info.status) & TS_COMPAT);
#else
	(void)nr;
	return BPF_CORE_READ(current(), thread_info.flags) & (1 << 22); /* TIF_32BIT. Source: asm/thread_info.h */
#endif
}

static __always_inline struct slot *slot_of(u32 tid)
{
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);

	if (slot)
		return slot;
	struct slot fresh = {};
	bpf_map_update_elem(&slots, &tid, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&slots, &tid);
}

static __always_inline void fill_call(struct obs_call *r, struct slot *slot)
{
	r->head.nr = slot->nr;
	for (int i = 0; i < 6; i++)
		r->args[i] = slot->args[i];
	r->cpu = bpf_get_smp_processor_id();
}

/* Sends what stands in the scratch memory as a call of kind `kind`. */
static __always_inline bool finish_call(struct scratch *s, struct obs_counters *c, u32 flags)
{
	struct obs_call *r = (void *)s->record;

	flags |= s->flags;
	r->head.flags = flags;
	r->head.blobs_low = s->blobs;
	r->blobs = s->blobs;
	if (flags & OBS_CUT)
		c->cut++;
	if (flags & OBS_UNREADABLE)
		c->unreadable++;
	return send(s, s->length);
}

static __always_inline void early(struct slot *slot, struct obs_plan *plan, u32 tid, struct obs_counters *c)
{
	struct scratch *s = begin();
	bool last = plan->flags & OBS_NO_RETURN;

	if (!s) {
		if (last)
			account_busy(c);
		else
			c->early_lost++;
		return;
	}
	struct obs_call *r = (void *)s->record;
	fill_head(&r->head, last ? OBS_CALL : OBS_ENTRY, slot->start_ns);
	fill_call(r, slot);
	r->duration_ns = 0;
	r->result = 0;
	s->result = 0;
	s->length = sizeof(*r);
	take(plan, slot->nr, tid, BEFORE);
	bool sent = finish_call(s, c, last ? OBS_NO_RESULT : 0);
	if (last)
		account(c, sent);
	else if (sent)
		slot->flags |= OBS_HAS_ENTRY;
	else
		c->early_lost++;
}

SEC("tp_btf/sys_enter")
int on_enter(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	u64 who = bpf_get_current_pid_tgid();
	u32 tid = who, nr = ctx[1];

	if (!wanted(who >> 32))
		return 0;
	struct obs_counters *c = counting();
	if (!c)
		return 0;
	struct slot *slot = slot_of(tid);
	if (!slot) {
		c->untracked++;
		lose(LOST_UNTRACKED);
		return 0;
	}
	slot->flags = 0;
	if (foreign(ctx[1])) {
		slot->state = SLOT_SKIPPED;
		c->foreign++;
		lose(LOST_FOREIGN);
		return 0;
	}
	struct obs_plan *plan = bpf_map_lookup_elem(&plans, &nr);
	if (plan && !(plan->flags & OBS_WANTED)) {
		slot->state = SLOT_SKIPPED;
		return 0;
	}
	slot->nr = nr;
	slot->args[0] = OBS_ARG0(regs);
	slot->args[1] = OBS_ARG1(regs);
	slot->args[2] = OBS_ARG2(regs);
	slot->args[3] = OBS_ARG3(regs);
	slot->args[4] = OBS_ARG4(regs);
	slot->args[5] = OBS_ARG5(regs);
	slot->start_ns = bpf_ktime_get_ns();
	slot->state = plan && (plan->flags & OBS_NO_RETURN) ? SLOT_SKIPPED : SLOT_IN_CALL;
	if (plan && (plan->flags & (OBS_READ_EARLY | OBS_NO_RETURN)))
		early(slot, plan, tid, c);
	return 0;
}

/* An exit without an entry: refused before the call began, or begun before it was watched. */
static __always_inline u32 unannounced(struct slot *slot, struct pt_regs *regs, u64 nr, s64 result, bool known)
{
	slot->nr = nr;
	slot->args[0] = OBS_ARG0(regs);
	slot->args[1] = OBS_ARG1(regs);
	slot->args[2] = OBS_ARG2(regs);
	slot->args[3] = OBS_ARG3(regs);
	slot->args[4] = OBS_ARG4(regs);
	slot->args[5] = OBS_ARG5(regs);
	slot->start_ns = bpf_ktime_get_ns();
	slot->flags = 0;
	if (!known)
		return OBS_START_UNKNOWN;
	bool filtered = BPF_CORE_READ(current(), seccomp.mode) == SECCOMP_MODE_FILTER;
	return filtered && (result < 0 || (u64)result == nr) ? OBS_SECCOMP : 0;
}

SEC("tp_btf/sys_exit")
int on_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	s64 result = ctx[1];
	u64 who = bpf_get_current_pid_tgid();
	u32 tid = who, flags = 0;

	if (!wanted(who >> 32))
		return 0;
	struct obs_counters *c = counting();
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);
	bool known = slot != 0;
	if (!slot)
		slot = slot_of(tid);
	if (!c || !slot)
		return 0; /* untracked: counted when it began, or begun before */
	u32 state = slot->state;
	if (state == SLOT_SKIPPED || state == SLOT_NEWBORN) {
		slot->state = SLOT_IDLE;
		return 0;
	}
	if (state == SLOT_IDLE) {
		u64 nr = OBS_NUMBER(regs);
		if (nr >= OBS_CALLS_MAX || foreign(nr))
			return 0; /* a return from a signal handler, or no call at all */
		flags = unannounced(slot, regs, nr, result, known);
	}
	u32 nr = slot->nr;
	struct obs_plan *plan = bpf_map_lookup_elem(&plans, &nr);
	if (plan && !(plan->flags & OBS_WANTED)) {
		slot->state = SLOT_IDLE;
		return 0;
	}
	u64 now = bpf_ktime_get_ns();
	struct scratch *s = begin();
	if (!s) {
		slot->state = SLOT_IDLE;
		account_busy(c);
		return 0;
	}
	struct obs_call *r = (void *)s->record;
	fill_head(&r->head, OBS_CALL, slot->start_ns);
	fill_call(r, slot);
	r->duration_ns = now - slot->start_ns;
	r->result = result;
	s->result = result;
	s->length = sizeof(*r);
	if (plan && plan->steps_count)
		take(plan, nr, tid, plan->flags & OBS_READ_EARLY && !(flags & (OBS_SECCOMP | OBS_START_UNKNOWN)) ? AFTER : BOTH);
	slot->state = SLOT_IDLE;
	account(c, finish_call(s, c, flags | slot->flags));
	return 0;
}

#include "lives.h"
