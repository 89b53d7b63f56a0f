// SPDX-License-Identifier: Apache-2.0
//! How replayed threads come, get new programs, and go.

use crate::engine::stub;
use crate::error::ReplayError;
use crate::replay::body::Body;
use crate::replay::session::{Ended, Session};
use crate::stream::{Death, Exec, Fork, TaskId};

impl Session {
    pub(super) fn fork(&mut self, task: TaskId, fork: &Fork) -> Result<(), ReplayError> {
        self.room_for_one()?;
        let parent = self.body(task)?;
        let real = stub::spawn_from(parent.real, &parent.regs, fork.shares_memory)?;
        let exe = parent.exe.clone();
        let (call, shared) = (parent.call, parent.space);
        let space = if fork.shares_memory { shared } else { self.fresh_space() };
        let regs = fork.regs;
        let (id, tid, pid) = (fork.child, fork.tid, fork.pid);
        self.guard.add(real);
        if pid == self.body(task)?.pid {
            self.threaded.insert(pid);
        }
        if tid != pid && self.command.contains(&task) {
            self.command.push(id);
        }
        self.bodies.insert(id, Body { id, tid, pid, parent: task, real, space, regs, in_call: false, call, exe });
        for effect in &fork.effects {
            self.apply(id, effect, 0)?;
        }
        Ok(())
    }

    fn fresh_space(&mut self) -> u32 {
        self.next_space += 1;
        self.next_space
    }

    pub(super) fn exec(&mut self, task: TaskId, exec: &Exec) -> Result<(), ReplayError> {
        let real = self.zygote.spawn()?;
        self.guard.add(real);
        if self.command.contains(&task) {
            self.command = vec![task];
        }
        let (tid, pid, parent) = match self.bodies.remove(&task) {
            Some(old) => {
                crate::engine::sys::copy_stack_limit(old.real, real);
                self.guard.remove(old.real);
                stub::end(old.real);
                (old.pid, old.pid, old.parent)
            }
            None if task == 0 && self.position == 0 => (0, 0, 0),
            None => return Err(ReplayError::Damaged(format!("task {task} executes a program and does not exist"))),
        };
        let space = self.fresh_space();
        let body = Body {
            id: task,
            tid,
            pid,
            parent,
            real,
            space,
            regs: exec.regs,
            in_call: false,
            call: (59, [0; 6]),
            exe: exec.exe.clone(),
        };
        self.bodies.insert(task, body);
        for mapping in &exec.maps {
            self.map(task, mapping)?;
        }
        let body = self.body(task)?;
        for (address, bytes) in &exec.memory {
            body.write(*address, bytes)?;
        }
        Ok(())
    }

    pub(super) fn death(&mut self, task: TaskId, death: &Death) -> Result<(), ReplayError> {
        if death.fault {
            self.run_to_fault(task, death.signal.unwrap_or(0))?;
        }
        self.ends_as_recorded(task, death)?;
        let real = self.body(task)?.real;
        self.guard.remove(real);
        stub::end(real);
        self.bodies.remove(&task);
        for effect in &death.effects {
            self.apply(task, effect, 0)?;
        }
        if self.command.first() == Some(&task) {
            self.ended = Some(Ended { exit_code: death.exit_code, signal: death.signal });
        }
        Ok(())
    }
}
