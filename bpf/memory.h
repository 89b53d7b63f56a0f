/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows a plan: reads what the arguments of a call point to. Knows no call by name.
 * The functions that are not inlined are verified on their own, so their state lives in this CPU's `work`.
 */
#ifndef OBSERVER_MEMORY_H
#define OBSERVER_MEMORY_H

/* Bounds an offset in a way the verifier can follow. */
#define BOUND(x, max) \
	do { \
		asm volatile("" : "+r"(x)); \
		if ((x) > (max)) \
			return 0; \
	} while (0)

/* Where a blob of at most OBS_READ_MAX + 8 bytes may be written, and what is needed to write it. */
struct room {
	struct work *work;
	u8 *blob;
};

static __always_inline bool make_room(struct room *room)
{
	struct work *work = MINE(works);

	if (!work)
		return false;
	u32 at = work->at;
	struct block *block = bpf_map_lookup_elem(&blocks, &work->block);
	asm volatile("" : "+r"(at));
	if (!block || at > OBS_BLOCK - OBS_READ_MAX - 64) {
		work->flags |= OBS_CUT; /* the plan's bound keeps this from happening */
		return false;
	}
	room->work = work;
	room->blob = &block->bytes[at];
	return true;
}

static __always_inline int blob(struct room *room, u32 what, u32 part, u32 length)
{
	struct obs_blob *b = (void *)room->blob;

	b->what = what & 0xff;
	b->zero = 0;
	b->part = part;
	b->length = length;
	room->work->at += sizeof(*b) + ((length + 7) & ~7u);
	if (what & 16)
		room->work->flags |= OBS_CUT;
	return 1;
}

/* Appends text up to its NUL. */
static __always_inline int read_string(u64 address, u32 what, u32 part)
{
	struct room room;
	u32 max = obs_string_max;

	if (!make_room(&room))
		return 0;
	if (max > OBS_READ_MAX)
		max = OBS_READ_MAX;
	/* Two more than is kept: one for the NUL, one to tell a string that just fits from one that is cut. */
	long n = bpf_probe_read_user_str(room.blob + sizeof(struct obs_blob), max + 2, (void *)address);
	if (n <= 0) {
		room.work->flags |= OBS_UNREADABLE;
		return 0;
	}
	u32 kept = n - 1;
	if (kept > max) {
		kept = max;
		what |= 16;
	}
	return blob(&room, what, part, kept);
}

/* Appends up to `max` of `want` bytes; returns how many. */
static __always_inline int read_bytes(u64 address, u64 want, u32 max, u32 what_part)
{
	struct room room;
	u32 what = what_part & 0xff, keep = max;

	if (!make_room(&room))
		return 0;
	u8 *to = room.blob + sizeof(struct obs_blob);
	if (want < keep)
		keep = want;
	else if (want > keep)
		what |= 16;
	asm volatile("" : "+r"(keep));
	if (keep == 0 || keep > OBS_READ_MAX)
		return 0;
	if (bpf_probe_read_user(to, keep, (void *)address)) {
		/* The end of what was named may lie beyond the last readable page: take what there is before it. */
		u32 whole = keep;
		keep = 4096 - (address & 4095);
		asm volatile("" : "+r"(keep));
		if (keep >= whole || keep == 0 || keep > OBS_READ_MAX || bpf_probe_read_user(to, keep, (void *)address)) {
			room.work->flags |= OBS_UNREADABLE;
			return 0;
		}
		room.work->flags |= OBS_UNREADABLE;
	}
	blob(&room, what, what_part >> 8, keep);
	return keep;
}

/* The same as functions of their own, for what is read in loops. */
__noinline int take_string(u64 address, u32 what, u32 part)
{
	return read_string(address, what, part);
}

__noinline int take_bytes(u64 address, u64 want, u32 max, u32 what_part)
{
	return read_bytes(address, want, max, what_part);
}

/* Says that there was more of this argument than was taken. */
static __always_inline int more(u32 what)
{
	struct room room;

	return make_room(&room) ? blob(&room, what | 16, 0, 0) : 0;
}

/*
 * A NULL-terminated array of pointers to text; parts are numbered from 1. In two loops, since the verifier follows every turn of
 * each. Answers whether there may be more.
 */
#define OBS_SOME 32
__noinline int take_some(u64 address, u32 what, u32 from)
{
	struct work *work = MINE(works);

	if (!work)
		return 0;
	for (u32 i = 0; i < OBS_SOME; i++) {
		u64 pointer = 0;
		if (bpf_probe_read_user(&pointer, sizeof(pointer), (void *)(address + (from + i) * 8))) {
			work->flags |= OBS_UNREADABLE;
			return 0;
		}
		if (!pointer)
			return 0;
		if (work->at - work->start > OBS_CONTENT_MAX - OBS_READ_MAX - 64)
			return more(what) & 0;
		take_string(pointer, what, from + i + 1);
	}
	return 1;
}

__noinline int take_strings(u64 address, u32 what)
{
	for (u32 i = 0; i < OBS_PARTS_MAX; i += OBS_SOME)
		if (!take_some(address, what, i))
			return 0;
	return more(what);
}

/* How many pointers stand before the NULL, from number `from` on, of the next few. */
__noinline int count_some(u64 address, u32 from)
{
	struct work *work = MINE(works);
	u64 pointer = 0;
	u32 i;

	for (i = 0; i < OBS_SOME; i++) {
		if (bpf_probe_read_user(&pointer, sizeof(pointer), (void *)(address + (from + i) * 8))) {
			if (work)
				work->flags |= OBS_UNREADABLE;
			break;
		}
		if (!pointer)
			break;
	}
	return i;
}

__noinline int take_count(u64 address, u32 what)
{
	struct room room;
	u32 count = 0;

	if (!make_room(&room))
		return 0;
	for (u32 i = 0; i < OBS_PARTS_MAX; i += OBS_SOME) {
		u32 some = count_some(address, i);
		count += some;
		if (some < OBS_SOME)
			break;
	}
	*(u32 *)(room.blob + sizeof(struct obs_blob)) = count;
	return blob(&room, what | (count == OBS_PARTS_MAX ? 16 : 0), 0, 4);
}

/* Part `base` is the array, the parts after it the buffers: the data limit in all, and after the call no more than moved. */
__noinline int take_iovec(u64 address, u64 count, u32 what, u32 base)
{
	struct work *work = MINE(works);
	u32 keep = obs_data_max;
	u64 left = ~0ull;

	if (!work || !count)
		return 0;
	if (what & 8)
		left = (s64)work->result > 0 ? work->result : 0;
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

static __always_inline u64 length_of(struct obs_step *step, struct work *work)
{
	u32 which = step->length_arg & 7;
	u64 arg = 0, result = work->result;

	if (which < 6)
		arg = work->args[which];
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

/* Does reading number `index` of the plan of call `nr`. */
__noinline int take_step(u32 nr, u32 index)
{
	struct obs_plan *plan = bpf_map_lookup_elem(&plans, &nr);
	struct work *work = MINE(works);

	if (!plan || !work || index >= OBS_STEPS_MAX)
		return 0;
	struct obs_step *step = &plan->steps[index];
	u32 arg = step->arg & 7, other = step->condition_arg & 7;
	if (arg > 5 || other > 5)
		return 0;
	u64 address = work->args[arg];
	bool failed = (s64)work->result < 0 && (s64)work->result >= -4095;
	if (!address || (step->at_exit && failed && !step->on_error))
		return 0;
	if (step->condition != OBS_ALWAYS && among(step, work->args[other] & step->mask) != (step->condition == OBS_IN))
		return 0;
	u32 what = arg | (step->at_exit ? 8 : 0);
	switch (step->shape) {
	case OBS_STRING:
		return read_string(address, what, 0);
	case OBS_DATA:
	case OBS_STRUCT:
		return read_bytes(address, length_of(step, work), step->shape == OBS_DATA ? obs_data_max : step->most, what);
	case OBS_STRINGS:
		return take_strings(address, what);
	case OBS_COUNT:
		return take_count(address, what);
	case OBS_IOVEC: {
		u32 count = step->length_arg & 7;
		return count < 6 ? take_iovec(address, work->args[count], what, 0) : 0;
	}
	case OBS_MSGHDR:
		return take_msghdr(address, what);
	}
	return 0;
}

#define BEFORE 0 /* what the kernel reads */
#define AFTER 1  /* what it wrote */
#define BOTH 2

/* Bits of the readings that may apply to a call with this value of the argument that decides. */
static __noinline u64 steps_for(struct obs_plan *plan, u64 value)
{
	for (u32 i = 0; i < OBS_SELECT_MAX; i++) {
		if (i >= plan->select_count)
			break;
		if (plan->select_values[i] == (value & plan->select_mask))
			return plan->select_steps[i];
	}
	return plan->other_steps;
}

/* Does those of the chosen readings whose moment it is. */
static __always_inline void take(struct obs_plan *plan, struct work *work, u32 nr, u32 moment)
{
	u32 which = plan->select_arg;
	u64 steps = plan->other_steps;

	if (which < 6)
		steps = steps_for(plan, work->args[which]);
	if (moment == BEFORE)
		steps &= ~plan->exit_steps;
	else if (moment == AFTER)
		steps &= plan->exit_steps;
	for (u32 i = 0; i < OBS_STEPS_MAX; i++) {
		if (i >= plan->steps_count || !(steps >> i))
			return;
		if (steps >> i & 1)
			take_step(nr, i);
	}
}

/* What most calls with memory have, a path and a structure that is filled in: without the way through a step. */
static __always_inline void take_plain(struct obs_plan *plan, struct work *work)
{
	u32 text = plan->text, filled = plan->filled;
	s64 result = work->result;

	if (text < 6 && work->args[text])
		read_string(work->args[text], text, 0);
	if (filled < 6 && work->args[filled] && (result >= 0 || result < -4095))
		read_bytes(work->args[filled], plan->filled_bytes, OBS_READ_MAX, filled | 8);
}

#endif
