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

/* Somebody outside makes a process inside a watched pid namespace: from here on it is watched. */
static __noinline int adopt(struct task_struct *child, u32 child_pid, u32 child_tid)
{
	struct obs_event own = {};
	struct slot born = {.state = SLOT_NEWBORN};
	u32 one = 1;

	own_id(child, &own);
	u32 space = own.pid_ns;
	if (!bpf_map_lookup_elem(&namespaces, &space))
		return 0;
	bpf_map_update_elem(&slots, &child_tid, &born, BPF_ANY);
	return bpf_map_update_elem(&pids, &child_pid, &one, BPF_ANY);
}

static __always_inline struct obs_event *begin_event(struct scratch *s, u8 kind)
{
	struct obs_event *e = (void *)s->record;

	__builtin_memset(e, 0, sizeof(*e));
	fill_head(&e->head, kind, bpf_ktime_get_ns());
	s->length = sizeof(*e);
	return e;
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *child = (void *)ctx[1];
	u64 who = bpf_get_current_pid_tgid();
	u32 pid = who >> 32, tid = who, child_tid = child->pid, child_pid = child->tgid, one = 1;

	if (!wanted(pid)) {
		if (obs_namespaces && pid != obs_self)
			adopt(child, child_pid, child_tid);
		return 0;
	}
	struct obs_counters *c = counting();
	if (!c)
		return 0;
	if ((obs_mode & MODE_PIDS) && child_pid != pid && bpf_map_update_elem(&pids, &child_pid, &one, BPF_ANY)) {
		c->untracked++;
		lose(LOST_UNTRACKED);
	}
	struct slot born = {.state = SLOT_NEWBORN};
	if (bpf_map_update_elem(&slots, &child_tid, &born, BPF_ANY)) {
		c->untracked++;
		lose(LOST_UNTRACKED);
	}
	struct scratch *s = begin();
	if (!s) {
		account_busy(c);
		return 0;
	}
	struct obs_event *e = begin_event(s, OBS_FORK);
	e->other_tid = child_tid;
	e->other_pid = child_pid;
	if (child_pid == pid)
		e->head.flags = OBS_THREAD;
	own_id(child, e);
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);
	if (slot && slot->state == SLOT_IN_CALL) {
		e->head.nr = slot->nr;
		e->arg = slot->args[0];
		/* clone3 names its flags by a pointer; the kernel has just read it. */
		bpf_probe_read_user(&e->code, sizeof(e->code), (void *)e->arg);
	}
	account(c, send(s, sizeof(*e)));
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u32 former = ctx[1];
	struct linux_binprm *program = (void *)ctx[2];
	u32 tid = task->pid;

	if (!wanted(task->tgid))
		return 0;
	struct obs_counters *c = counting();
	if (!c)
		return 0;
	if (former != tid) {
		/* Another thread than the first executed: it takes over the first one's id, in the middle of its call. */
		struct slot *old = bpf_map_lookup_elem(&slots, &former);
		if (old) {
			struct slot moved = *old;
			bpf_map_update_elem(&slots, &tid, &moved, BPF_ANY);
			bpf_map_delete_elem(&slots, &former);
		}
	}
	struct scratch *s = begin();
	if (!s) {
		account_busy(c);
		return 0;
	}
	struct obs_event *e = begin_event(s, OBS_EXEC);
	e->other_tid = former;
	e->euid = BPF_CORE_READ(task, cred, euid.val);
	e->egid = BPF_CORE_READ(task, cred, egid.val);
	own_id(task, e);
	long n = bpf_probe_read_kernel_str(&s->record[sizeof(*e)], OBS_READ_MAX, program->filename);
	u32 length = n > 1 ? n - 1 : 0;
	e->length = length;
	if (length > OBS_READ_MAX)
		length = 0;
	account(c, send(s, sizeof(*e) + length));
	return 0;
}

static __always_inline void end_call(struct slot *slot, struct obs_counters *c)
{
	struct scratch *s = begin();

	if (!s) {
		account_busy(c);
		return;
	}
	struct obs_call *r = (void *)s->record;
	fill_head(&r->head, OBS_CALL, slot->start_ns);
	fill_call(r, slot);
	r->duration_ns = bpf_ktime_get_ns() - slot->start_ns;
	r->result = 0;
	s->length = sizeof(*r);
	account(c, finish_call(s, c, OBS_NO_RESULT | slot->flags));
}

SEC("tp_btf/sched_process_exit")
int on_end(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	u32 pid = task->tgid, tid = task->pid;
	bool dead = task->signal->live.counter == 0;

	if (!wanted(pid))
		return 0;
	struct obs_counters *c = counting();
	if (!c)
		return 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);
	if (slot && slot->state == SLOT_IN_CALL)
		end_call(slot, c);
	bpf_map_delete_elem(&slots, &tid);
	if ((obs_mode & MODE_PIDS) && dead)
		bpf_map_delete_elem(&pids, &pid);
	struct scratch *s = begin();
	if (!s) {
		account_busy(c);
		return 0;
	}
	struct obs_event *e = begin_event(s, OBS_EXIT);
	int group = task->signal->group_exit_code;
	e->code = group ? group : task->exit_code;
	e->head.flags = dead ? OBS_GROUP_DEAD : 0;
	account(c, send(s, sizeof(*e)));
	return 0;
}

SEC("tp_btf/signal_deliver")
int on_signal(u64 *ctx)
{
	u32 sent[6] = {}; /* signo, errno, code, padding, pid, uid. Source: asm-generic/siginfo.h, 64-bit layout */

	if (!wanted(bpf_get_current_pid_tgid() >> 32))
		return 0;
	struct obs_counters *c = counting();
	if (!c)
		return 0;
	struct scratch *s = begin();
	if (!s) {
		account_busy(c);
		return 0;
	}
	struct obs_event *e = begin_event(s, OBS_SIGNAL);
	bpf_probe_read_kernel(sent, sizeof(sent), (void *)ctx[1]);
	e->head.nr = ctx[0];
	e->code = sent[2];
	e->other_tid = sent[4];
	e->other_pid = sent[5];
	account(c, send(s, sizeof(*e)));
	return 0;
}

/* Not recorded one by one: io_uring carries out operations without system calls. Counted, and declared as a loss. */
SEC("tp_btf/io_uring_submit_req")
int on_uring(u64 *ctx)
{
	(void)ctx;
	if (!wanted(bpf_get_current_pid_tgid() >> 32))
		return 0;
	struct obs_counters *c = counting();
	if (!c)
		return 0;
	c->uring++;
	lose(LOST_URING);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int on_cgroup(u64 *ctx)
{
	struct cgroup *made = (void *)ctx[0];
	u64 id = BPF_CORE_READ(made, kn, id), above = 0;
	u32 one = 1;

	if (!(obs_mode & MODE_CGROUPS))
		return 0;
	above = BPF_CORE_READ(made, self.parent, cgroup, kn, id);
	if (!bpf_map_lookup_elem(&cgroups, &above))
		return 0;
	struct obs_counters *c = counting();
	if (!c)
		return 0;
	if (bpf_map_update_elem(&cgroups, &id, &one, BPF_ANY)) {
		c->untracked++;
		lose(LOST_UNTRACKED);
	}
	return 0;
}

#endif
