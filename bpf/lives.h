/* SPDX-License-Identifier: Apache-2.0 */
/* The lives of processes, threads and cgroups, and the signals delivered to them. */
#ifndef OBSERVER_LIVES_H
#define OBSERVER_LIVES_H

/* The id of a task in its own pid namespace, and that namespace. */
static __always_inline void own_id(struct task_struct *task, struct obs_event *e)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid *numbers = __builtin_preserve_access_index(&pid->numbers[0]);
	struct upid *own;

	if (level > 32) /* MAX_PID_NS_LEVEL */
		return;
	own = (void *)numbers + level * bpf_core_type_size(struct upid);
	e->ns_pid = BPF_CORE_READ(own, nr);
	e->pid_ns = BPF_CORE_READ(own, ns, ns.inum);
}

static __always_inline void fill_place(struct obs_event *e, struct slot *slot)
{
	e->cgroup = slot->cgroup;
	e->uid = slot->uid;
	e->gid = slot->gid;
	e->euid = slot->euid;
	e->egid = slot->egid;
}

/* Begins an event of the running thread; 0 when it is lost, which is counted. */
static __always_inline struct obs_event *begin_event(struct slot *slot, struct obs_lane *lane, struct work *work, u8 kind, u32 bound)
{
	enum begun begun = begin(lane, work, bound);

	if (begun != BEGUN) {
		lost(lane, begun);
		return 0;
	}
	struct obs_event *e = message(work);
	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e));
	fill_head(&e->head, slot, kind, 0, bpf_ktime_get_ns());
	fill_place(e, slot);
	work->at += sizeof(*e);
	return e;
}

/* Copies a string of the kernel behind the event; what does not fit is cut. */
static __always_inline void add_text(struct work *work, struct obs_event *e, const char *text)
{
	u32 at = work->at;

	asm volatile("" : "+r"(at));
	struct block *block = bpf_map_lookup_elem(&blocks, &work->block);
	if (!block || at > OBS_BLOCK - OBS_READ_MAX - 64)
		return;
	long n = bpf_probe_read_kernel_str(&block->bytes[at], OBS_READ_MAX, text);
	u32 length = n > 1 && n <= OBS_READ_MAX ? n - 1 : 0;
	e->length = length;
	work->at += (length + 7) & ~7u;
}

static __always_inline void send_event(struct obs_lane *lane, struct work *work, struct obs_event *e)
{
	e->head.words = (work->at - work->start) >> 3;
	send(lane, work);
}

/* Tells where and who the running thread is. */
static __always_inline void tell_place(struct task_struct *task, struct slot *slot)
{
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);

	if (!lane || !work)
		return;
	struct obs_event *e = begin_event(slot, lane, work, OBS_PLACE, OBS_FIXED);
	if (!e)
		return;
	own_id(task, e);
	slot->told = 1;
	send_event(lane, work, e);
}

/* The running thread was not met before, or may have moved: its slot, or 0 when it is not to be watched. */
static __noinline struct slot *meet(struct task_struct *task, struct slot *slot)
{
	u64 who = bpf_get_current_pid_tgid();

	/* A slot says that it is watched, unless that hangs on its cgroup. */
	if (!slot || (obs_mode & MODE_CGROUPS)) {
		if (!wanted(who >> 32)) {
			if (slot)
				drop_slot(slot);
			return 0;
		}
	}
	if (!slot)
		slot = make_slot(who, who >> 32);
	if (!slot) {
		untracked();
		return 0;
	}
	settle(slot, task);
	if (!slot->told)
		tell_place(task, slot);
	return slot;
}

/* The slot of the running thread if it is watched. */
static __always_inline struct slot *watched(struct task_struct *task)
{
	struct slot *slot = slot_of(HOT(task, pid));

	return slot && !moved(slot, task) ? slot : meet(task, slot);
}

/* A child that is watched from its first moment on. */
static __always_inline struct slot *born(struct task_struct *child)
{
	struct slot *slot = make_slot(child->pid, child->tgid);

	if (!slot) {
		untracked();
		return 0;
	}
	slot->state = SLOT_NEWBORN;
	slot->start_ns = 1; /* met: a later return without an entry was refused */
	settle(slot, child);
	return slot;
}

/* Somebody outside makes a process inside a watched pid namespace: from here on it is watched. */
static __always_inline int adopt(struct task_struct *child, u32 child_pid)
{
	struct obs_event own = {};
	u32 one = 1;

	own_id(child, &own);
	u32 space = own.pid_ns;
	if (!bpf_map_lookup_elem(&namespaces, &space))
		return 0;
	if (bpf_map_update_elem(&pids, &child_pid, &one, BPF_ANY))
		untracked();
	born(child);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *child = (void *)ctx[1], *task = running();
	u32 pid = bpf_get_current_pid_tgid() >> 32, child_tid = child->pid, child_pid = child->tgid, one = 1;
	struct slot *slot = watched(task);

	if (!slot) {
		if (obs_namespaces && pid != obs_self)
			adopt(child, child_pid);
		return 0;
	}
	if ((obs_mode & MODE_PIDS) && child_pid != pid && bpf_map_update_elem(&pids, &child_pid, &one, BPF_ANY))
		untracked();
	struct slot *its = born(child);
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);
	if (!lane || !work)
		return 0;
	struct obs_event *e = begin_event(slot, lane, work, OBS_FORK, OBS_FIXED);
	if (!e)
		return 0;
	e->other_tid = child_tid;
	e->other_pid = child_pid;
	if (child_pid == pid)
		e->head.flags = OBS_THREAD;
	own_id(child, e);
	if (its)
		fill_place(e, its);
	if (slot->state == SLOT_IN_CALL) {
		struct pt_regs *regs = (void *)slot->regs;
		e->head.nr = slot->nr;
		e->arg = OBS_ARG0_READ(regs);
		/* clone3 names its flags by a pointer; the kernel has just read it. */
		bpf_probe_read_user(&e->code, sizeof(e->code), (void *)e->arg);
	}
	if (its)
		its->told = 1;
	send_event(lane, work, e);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u32 former = ctx[1];
	struct linux_binprm *program = (void *)ctx[2];
	u32 tid = task->pid;

	if (former != tid) {
		/* Another thread than the first executed: it takes over the first one's id, in the middle of its call. */
		struct slot *old = slot_of(former), *taken = slot_of(tid);
		if (old) {
			struct slot moved = *old;
			drop_slot(old);
			if (!taken)
				taken = make_slot(tid, tid);
			if (taken) {
				*taken = moved;
				taken->tid = tid;
			}
		}
	}
	struct slot *slot = slot_of(tid);
	if (!slot)
		slot = meet(task, slot);
	if (!slot)
		return 0;
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);
	if (!lane || !work)
		return 0;
	struct obs_event *e = begin_event(slot, lane, work, OBS_EXEC, OBS_FIXED + OBS_READ_MAX + 64);
	if (!e)
		return 0;
	settle(slot, task);
	slot->told = 1;
	fill_place(e, slot); /* anew: the program may be setuid */
	e->other_tid = former;
	own_id(task, e);
	add_text(work, e, program->filename);
	send_event(lane, work, e);
	return 0;
}

/* A thread dies inside a call. */
static __always_inline void end_call(struct slot *slot)
{
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);

	if (!lane || !work)
		return;
	enum begun begun = begin(lane, work, OBS_FIXED);
	if (begun != BEGUN) {
		lost(lane, begun);
		return;
	}
	struct obs_call *r = message(work);
	if (!r)
		return;
	struct pt_regs *regs = (void *)slot->regs;
	u64 now = bpf_ktime_get_ns(), took = now - slot->start_ns;
	fill_head(&r->head, slot, OBS_CALL, slot->nr, now);
	r->head.duration_low = took;
	r->head.duration_high = took >> 32;
	r->head.flags = OBS_NO_RESULT | (slot->flags & OBS_HAS_ENTRY);
	r->head.args = 6;
	r->result = 0;
	r->args[0] = OBS_ARG0_READ(regs);
	r->args[1] = OBS_ARG1_READ(regs);
	r->args[2] = OBS_ARG2_READ(regs);
	r->args[3] = OBS_ARG3_READ(regs);
	r->args[4] = OBS_ARG4_READ(regs);
	r->args[5] = OBS_ARG5_READ(regs);
	r->head.words = sizeof(*r) >> 3;
	work->at += sizeof(*r);
	send(lane, work);
}

SEC("tp_btf/sched_process_exit")
int on_end(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u32 pid = task->tgid;
	bool dead = task->signal->live.counter == 0;
	struct slot *slot = watched(task);

	if (!slot)
		return 0;
	if (slot->state == SLOT_IN_CALL)
		end_call(slot);
	slot->state = SLOT_SKIPPED;
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);
	struct obs_event *e = lane && work ? begin_event(slot, lane, work, OBS_EXIT, OBS_FIXED) : 0;
	if (e) {
		int group = task->signal->group_exit_code;
		e->code = group ? group : task->exit_code;
		e->head.flags = dead ? OBS_GROUP_DEAD : 0;
		send_event(lane, work, e);
	}
	if ((obs_mode & MODE_PIDS) && dead)
		bpf_map_delete_elem(&pids, &pid);
	drop_slot(slot);
	return 0;
}

SEC("tp_btf/signal_deliver")
int on_signal(u64 *ctx)
{
	u32 sent[6] = {}; /* signo, errno, code, padding, pid, uid. Source: asm-generic/siginfo.h, 64-bit layout */
	struct slot *slot = watched(running());

	if (!slot)
		return 0;
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);
	struct obs_event *e = lane && work ? begin_event(slot, lane, work, OBS_SIGNAL, OBS_FIXED) : 0;
	if (!e)
		return 0;
	bpf_probe_read_kernel(sent, sizeof(sent), (void *)ctx[1]);
	e->head.nr = ctx[0];
	e->code = sent[2];
	e->other_tid = sent[4];
	e->other_pid = sent[5];
	send_event(lane, work, e);
	return 0;
}

/* Not recorded one by one: io_uring carries out operations without system calls. Counted, and declared as a loss. */
SEC("tp_btf/io_uring_submit_req")
int on_uring(u64 *ctx)
{
	struct obs_lane *lane = MINE(lanes);

	(void)ctx;
	if (!lane || !slot_of(bpf_get_current_pid_tgid()))
		return 0;
	lane->uring++;
	lose(LOST_URING);
	return 0;
}

#endif
