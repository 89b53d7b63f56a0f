/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel types the probe reads, cut down to the fields in use. Offsets here mean nothing: the loader relocates every
 * access to the running kernel's own layout by its BTF (compile once, run everywhere). Names must be the kernel's.
 */
#ifndef OBSERVER_TYPES_H
#define OBSERVER_TYPES_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
#define true 1
#define false 0

/* Source: linux/bpf.h; values are ABI. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1 << 10 };
enum { BPF_RB_FORCE_WAKEUP = 2 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r10, r9, r8, dx, si, di, orig_ax;
#define OBS_NUMBER(r) ((r)->orig_ax)
};
#define OBS_ARG0(r) ((r)->di)
#define OBS_ARG1(r) ((r)->si)
#define OBS_ARG2(r) ((r)->dx)
#define OBS_ARG3(r) ((r)->r10)
#define OBS_ARG4(r) ((r)->r8)
#define OBS_ARG5(r) ((r)->r9)
#define OBS_ARG0_READ(r) BPF_CORE_READ(r, di)
#define OBS_ARG1_READ(r) BPF_CORE_READ(r, si)
#define OBS_ARG2_READ(r) BPF_CORE_READ(r, dx)
#define OBS_ARG3_READ(r) BPF_CORE_READ(r, r10)
#define OBS_ARG4_READ(r) BPF_CORE_READ(r, r8)
#define OBS_ARG5_READ(r) BPF_CORE_READ(r, r9)
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 orig_x0; /* the first argument; the result takes its register */
	s32 syscallno;
#define OBS_NUMBER(r) ((r)->syscallno)
};
#define OBS_ARG0(r) ((r)->orig_x0)
#define OBS_ARG1(r) ((r)->regs[1])
#define OBS_ARG2(r) ((r)->regs[2])
#define OBS_ARG3(r) ((r)->regs[3])
#define OBS_ARG4(r) ((r)->regs[4])
#define OBS_ARG5(r) ((r)->regs[5])
#define OBS_ARG0_READ(r) BPF_CORE_READ(r, orig_x0)
#define OBS_ARG1_READ(r) BPF_CORE_READ(r, regs[1])
#define OBS_ARG2_READ(r) BPF_CORE_READ(r, regs[2])
#define OBS_ARG3_READ(r) BPF_CORE_READ(r, regs[3])
#define OBS_ARG4_READ(r) BPF_CORE_READ(r, regs[4])
#define OBS_ARG5_READ(r) BPF_CORE_READ(r, regs[5])
#else
#error "compile with -D__TARGET_ARCH_x86 or -D__TARGET_ARCH_arm64"
#endif

struct thread_info {
	unsigned long flags;
	u32 status;
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int group_exit_code;
};

struct seccomp {
	int mode;
};

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
};

struct css_set;

struct task_struct {
	struct thread_info thread_info;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct pid *thread_pid;
	const struct cred *cred;
	struct signal_struct *signal;
	struct seccomp seccomp;
	struct css_set *cgroups;
};

struct linux_binprm {
	const char *filename;
};

struct kernel_siginfo {
	int si_signo;
};

struct kernfs_node {
	u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

#pragma clang attribute pop

#endif
