/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows a plan: reads what the arguments of a call point to. Knows no call by name.
 * The functions that are not inlined are verified on their own, so their state lives in the scratch memory.
 */
#ifndef OBSERVER_MEMORY_H
#define OBSERVER_MEMORY_H

static __always_inline struct scratch *mine(void)
{
	u32 cpu = bpf_get_smp_processor_id();
	return bpf_map_lookup_elem(&scratches, &cpu);
}

/* Bounds an offset in a way the verifier can follow. */
#define BOUND(x, max) \
	do { \
		asm volatile("" : "+r"(x)); \
		if ((x) > (max)) \
			return 0; \
	} while (0)

static __always_inline int blob(struct scratch *s, u32 what, u32 part, u32 length)
{
	u32 at = s->length;

	BOUND(at, OBS_CONTENT_MAX);
	struct obs_blob *b = (void *)&s->record[at];
	b->what = what & 0xff;
	b->zero = 0;
	b->part = part;
	b->length = length;
	s->length = at + sizeof(*b) + ((length + 7) & ~7u);
	s->blobs++;
	if (what & 16)
		s->flags |= OBS_CUT;
	return 1;
}

/* Appends text up to its NUL. */
__noinline int take_string(u64 address, u32 what, u32 part)
{
	struct scratch *s = mine();
	u32 max = obs_string_max;

	if (!s)
		return 0;
	u32 at = s->length + sizeof(struct obs_blob);
	BOUND(at, OBS_CONTENT_MAX);
	if (max > OBS_READ_MAX)
		max = OBS_READ_MAX;
	/* Two more than is kept: one for the NUL, one to tell a string that just fits from one that is cut. */
	long n = bpf_probe_read_user_str(&s->record[at], max + 2, (void *)address);
	if (n <= 0) {
		s->flags |= OBS_UNREADABLE;
		return 0;
	}
	u32 kept = n - 1;
	if (kept > max) {
		kept = max;
		what |= 16;
	}
	return blob(s, what, part, kept);
}

/* Appends up to `max` of `want` bytes; returns how many. */
__noinline int take_bytes(u64 address, u64 want, u32 max, u32 what_part)
{
	struct scratch *s = mine();
	u32 what = what_part & 0xff, keep = max;

	if (!s)
		return 0;
	u32 at = s->length + sizeof(struct obs_blob);
	BOUND(at, OBS_CONTENT_MAX);
	if (want < keep)
		keep = want;
	else if (want > keep)
		what |= 16;
	asm volatile("" : "+r"(keep));
	if (keep == 0 || keep > OBS_READ_MAX)
		return 0;
	if (bpf_probe_read_user(&s->record[at], keep, (void *)address)) {
		/* The end of what was named may lie beyond the last readable page: take what there is before it. */
		u32 whole = keep;
		keep = 4096 - (address & 4095);
		asm volatile("" : "+r"(keep));
		if (keep >= whole || keep == 0 || keep > OBS_READ_MAX || bpf_probe_read_user(&s->record[at], keep, (void *)address)) {
			s->flags |= OBS_UNREADABLE;
			return 0;
		}
		s->flags |= OBS_UNREADABLE;
	}
	blob(s, what, what_part >> 8, keep);
	return keep;
}

/* A NULL-terminated array of pointers to text; parts are numbered from 1. */
__noinline int take_strings(u64 address, u32 what)
{
	for (u32 i = 0; i < OBS_PARTS_MAX; i++) {
		u64 pointer = 0;
		struct scratch *s = mine();
		if (!s)
			return 0;
		if (bpf_probe_read_user(&pointer, sizeof(pointer), (void *)(address + i * 8))) {
			s->flags |= OBS_UNREADABLE;
			return 0;
		}
		if (!pointer)
			return 0;
		if (s->length > OBS_CONTENT_MAX - OBS_READ_MAX - 64)
			return blob(s, what | 16, 0, 0);
		take_string(pointer, what, i + 1);
	}
	struct scratch *s = mine();
	return s ? blob(s, what | 16, 0, 0) : 0;
}

__noinline int take_count(u64 address, u32 what)
{
	struct scratch *s = mine();
	u64 pointer = 0;
	u32 i;

	if (!s)
		return 0;
	for (i = 0; i < OBS_PARTS_MAX; i++) {
		if (bpf_probe_read_user(&pointer, sizeof(pointer), (void *)(address + i * 8))) {
			s->flags |= OBS_UNREADABLE;
			break;
		}
		if (!pointer)
			break;
	}
	u32 at = s->length + sizeof(struct obs_blob);
	BOUND(at, OBS_CONTENT_MAX);
	*(u32 *)&s->record[at] = i;
	return blob(s, what | (i == OBS_PARTS_MAX ? 16 : 0), 0, 4);
}

/* Part `base` is the array, the parts after it the buffers: the data limit in all, and after the call no more than moved. */
__noinline int take_iovec(u64 address, u64 count, u32 what, u32 base)
{
	struct scratch *s = mine();
	u32 keep = obs_data_max;
	u64 left = ~0ull;

	if (!s || !count)
		return 0;
	if (what & 8)
		left = (s64)s->result > 0 ? s->result : 0;
	take_bytes(address, count < 256 ? count * 16 : 4097, OBS_READ_MAX, what | base << 8);
	for (u32 i = 0; i < OBS_IOVECS_MAX; i++) {
		u64 pair[2] = {};
		if (i >= count || !left || !keep)
			return 0;
		if (bpf_probe_read_user(pair, sizeof(pair), (void *)(address + i * 16)))
			return 0;
		u64 length = pair[1] < left ? pair[1] : left;
		if (!length)
			continue;
		take_bytes(pair[0], length, keep, what | (base + 1 + i) << 8);
		left -= length;
		keep = length < keep ? keep - length : 0;
	}
	return 0;
}

/* struct msghdr: name, namelen, iov, iovlen, control, controllen, flags. Source: sendmsg(2), 64-bit layout. */
__noinline int take_msghdr(u64 address, u32 what)
{
	u64 head[7] = {};

	if (take_bytes(address, sizeof(head), sizeof(head), what) < (int)sizeof(head))
		return 0;
	if (bpf_probe_read_user(head, sizeof(head), (void *)address))
		return 0;
	if (head[0])
		take_bytes(head[0], (u32)head[1], OBS_READ_MAX, what | 1 << 8);
	if (head[4])
		take_bytes(head[4], head[5], OBS_READ_MAX, what | 2 << 8);
	if (head[2])
		take_iovec(head[2], head[3], what, 3);
	return 0;
}

static __always_inline bool among(struct obs_step *step, u64 value)
{
	for (u32 i = 0; i < OBS_VALUES_MAX; i++) {
		if (i >= step->values_count)
			return false;
		if (step->values[i] == value)
			return true;
	}
	return false;
}

#define ARG(slot, n) ((slot)->args[(n) < 6 ? (n) : 0])

static __always_inline u64 length_of(struct obs_step *step, struct slot *slot, u64 result)
{
	u32 which = step->length_arg & 7;
	u64 arg = 0;

	if (which < 6)
		arg = slot->args[which];
	switch (step->length) {
	case OBS_CONST:
		return step->n;
	case OBS_ARG:
		return arg;
	case OBS_ARG_TIMES:
		return arg < 1 << 20 ? arg * step->n : 1 << 20;
	case OBS_RESULT:
		return (s64)result > 0 ? result : 0;
	case OBS_RESULT_TIMES:
		return (s64)result > 0 && result < 1 << 20 ? result * step->n : 0;
	case OBS_DEREF: {
		u32 word = 0;
		bpf_probe_read_user(&word, sizeof(word), (void *)arg);
		return word;
	}
	case OBS_ARG_BITS:
		return arg < 1 << 20 ? (arg + 63) / 64 * 8 : 0;
	}
	return 0;
}

/* Does reading number `index` of the plan of call `nr` for thread `tid`. */
__noinline int take_step(u32 nr, u32 index, u32 tid)
{
	struct obs_plan *plan = bpf_map_lookup_elem(&plans, &nr);
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);
	struct scratch *s = mine();

	if (!plan || !slot || !s || index >= OBS_STEPS_MAX)
		return 0;
	struct obs_step *step = &plan->steps[index];
	u32 arg = step->arg & 7, other = step->condition_arg & 7;
	if (arg > 5 || other > 5)
		return 0;
	u64 address = slot->args[arg];
	bool failed = (s64)s->result < 0 && (s64)s->result >= -4095;
	if (!address || (step->at_exit && failed && !step->on_error))
		return 0;
	if (step->condition != OBS_ALWAYS && among(step, slot->args[other] & step->mask) != (step->condition == OBS_IN))
		return 0;
	u32 what = arg | (step->at_exit ? 8 : 0);
	switch (step->shape) {
	case OBS_STRING:
		return take_string(address, what, 0);
	case OBS_DATA:
		return take_bytes(address, length_of(step, slot, s->result), obs_data_max, what);
	case OBS_STRUCT:
		return take_bytes(address, length_of(step, slot, s->result), OBS_READ_MAX, what);
	case OBS_STRINGS:
		return take_strings(address, what);
	case OBS_COUNT:
		return take_count(address, what);
	case OBS_IOVEC: {
		u32 count = step->length_arg & 7;
		return count < 6 ? take_iovec(address, slot->args[count], what, 0) : 0;
	}
	case OBS_MSGHDR:
		return take_msghdr(address, what);
	}
	return 0;
}

#define BEFORE 0 /* what the kernel reads */
#define AFTER 1  /* what it wrote */
#define BOTH 2

static __always_inline void take(struct obs_plan *plan, u32 nr, u32 tid, u32 moment)
{
	for (u32 i = 0; i < OBS_STEPS_MAX; i++) {
		if (i >= plan->steps_count)
			return;
		if (moment == BOTH || plan->steps[i].at_exit == moment)
			take_step(nr, i, tid);
	}
}

#endif
