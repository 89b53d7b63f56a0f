/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way by which messages leave: each CPU fills blocks of its own, which the recorder reads where they are. Nothing is locked
 * and nothing copied; a message is there for the recorder when `head` has moved past it.
 */
#ifndef OBSERVER_LANE_H
#define OBSERVER_LANE_H

#define barrier() asm volatile("" ::: "memory")

/* x86 keeps stores in order; arm64 does not, and an exchange orders all before it. */
#if defined(__TARGET_ARCH_x86)
#define PUBLISH(where, value) \
	do { \
		barrier(); \
		*(volatile typeof(where) *)&(where) = (value); \
		barrier(); \
	} while (0)
#else
#define PUBLISH(where, value) ((void)__sync_lock_test_and_set(&(where), (value)))
#endif

enum begun { BEGUN, BUSY, FULL };

/*
 * The present block is full: closes it and goes on in the first free one, so that memory is used again while it is still in the
 * CPU's cache; 0 when the recorder has left none.
 */
__noinline int next_block(u32 unused)
{
	struct obs_lane *lane = MINE(lanes);
	u32 cpu = bpf_get_smp_processor_id(), next;

	(void)unused;
	if (!lane)
		return 0;
	u64 head = lane->head, closed = (head >> 32) + 1;
	for (next = 0; next < OBS_BLOCKS_MAX; next++)
		if (next >= obs_blocks || *(volatile u8 *)&lane->free[next])
			break;
	u32 index = cpu * obs_blocks + lane->block;
	struct block *full = bpf_map_lookup_elem(&blocks, &index);
	bool found = full && next < obs_blocks && next < OBS_BLOCKS_MAX;
	if (found) {
		lane->free[next] = 0;
		*(volatile u32 *)&full->bytes[0] = (u32)head;
		*(volatile u32 *)&full->bytes[4] = next;
		lane->block = next;
		PUBLISH(lane->head, closed << 32 | OBS_BLOCK_HEAD);
	}
	if (closed - *(volatile u64 *)&lane->done >= obs_wake_blocks && closed - lane->rung >= obs_wake_blocks) {
		u64 ring = 0;
		lane->rung = closed;
		bpf_ringbuf_output(&bell, &ring, sizeof(ring), BPF_RB_FORCE_WAKEUP);
	}
	return found;
}

/* Takes the place for a message of at most `bound` bytes. What BEGUN answered must end with send() or abandon(). */
static __always_inline enum begun begin(struct obs_lane *lane, struct work *work, u32 bound)
{
	if (lane->open)
		return BUSY;
	*(volatile u32 *)&lane->open = 1; /* before the time of the message is taken: docs/spec/bpf-abi.md §3 */
	barrier();
	if ((u32)lane->head + bound > OBS_BLOCK && !next_block(0)) {
		*(volatile u32 *)&lane->open = 0;
		return FULL;
	}
	u32 cpu = bpf_get_smp_processor_id(), at = lane->head;
	work->block = cpu * obs_blocks + lane->block;
	work->start = at;
	work->at = at;
	work->flags = 0;
	return BEGUN;
}

/* Every bound is at least this: what begins a message, text apart. */
#define OBS_FIXED 128
_Static_assert(sizeof(struct obs_event) <= OBS_FIXED && sizeof(struct obs_call) <= OBS_FIXED, "fixed part");

/* The fixed part of the message that was begun. */
static __always_inline void *message(struct work *work)
{
	u32 start = work->start;
	struct block *block = bpf_map_lookup_elem(&blocks, &work->block);

	asm volatile("" : "+r"(start));
	if (!block || start > OBS_BLOCK - OBS_FIXED)
		return 0;
	return &block->bytes[start];
}

static __always_inline void fill_head(struct obs_head *h, struct slot *slot, u8 kind, u32 nr, u64 now)
{
	h->kind = kind;
	h->args = 0;
	h->nr = nr;
	h->tid = slot->tid;
	h->pid = slot->pid;
	h->at_ns = now;
}

/* Hands the message over; its length is what was put together. */
static __always_inline void send(struct obs_lane *lane, struct work *work)
{
	lane->seen++;
	lane->sent++;
	PUBLISH(lane->head, (lane->head & ~0xffffffffull) | work->at);
	*(volatile u32 *)&lane->open = 0;
}

static __always_inline void lost(struct obs_lane *lane, enum begun why)
{
	lane->seen++;
	if (why == FULL)
		lane->lost_ring++;
	else
		lane->lost_busy++;
	lose(why == FULL ? LOST_RING : LOST_BUSY);
}

#endif
