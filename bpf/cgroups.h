/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups that are made and removed meanwhile. */
#ifndef OBSERVER_CGROUPS_H
#define OBSERVER_CGROUPS_H

/* Whether ids of this cgroup are those by which we know cgroups: each hierarchy of version 1 counts its own. */
static __always_inline bool unified(struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, root, hierarchy_id) == 0;
}

/* A cgroup below a watched one is watched, and its name told at once: who runs in it may be gone before anybody asks. */
SEC("tp_btf/cgroup_mkdir")
int on_cgroup(u64 *ctx)
{
	struct cgroup *made = (void *)ctx[0];
	u64 id = BPF_CORE_READ(made, kn, id), above = BPF_CORE_READ(made, self.parent, cgroup, kn, id);
	struct slot maker = {};
	u64 who = bpf_get_current_pid_tgid();
	u32 one = 1;

	if (!unified(made))
		return 0;
	if ((obs_mode & MODE_CGROUPS) && bpf_map_lookup_elem(&cgroups, &above)) {
		if (bpf_map_update_elem(&cgroups, &id, &one, BPF_ANY))
			untracked();
	} else if (!(obs_mode & (MODE_ALL | MODE_PIDS))) {
		return 0;
	}
	struct obs_lane *lane = MINE(lanes);
	struct work *work = MINE(works);
	if (!lane || !work)
		return 0;
	maker.tid = who;
	maker.pid = who >> 32;
	maker.cgroup = id;
	struct obs_event *e = begin_event(&maker, lane, work, OBS_CGROUP, OBS_FIXED + OBS_READ_MAX + 64);
	if (!e)
		return 0;
	add_text(work, e, (const char *)ctx[1]);
	send_event(lane, work, e);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int on_cgroup_end(u64 *ctx)
{
	struct cgroup *gone = (void *)ctx[0];
	u64 id = BPF_CORE_READ(gone, kn, id);

	if ((obs_mode & MODE_CGROUPS) && unified(gone))
		bpf_map_delete_elem(&cgroups, &id);
	return 0;
}

#endif
