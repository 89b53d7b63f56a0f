// SPDX-License-Identifier: Apache-2.0
//! Arguments with a decoder of their own, sent to their family.

use super::context::{Context, Shown};
use super::{files, ipc, network, number, processes, signals, terminal, times};
use crate::meaning::Special;

/// Shows a special argument. Without its memory it is an address.
pub(super) fn show(context: &Context<'_>, index: usize, special: Special) -> Shown {
    let shown = match special {
        Special::Stat => files::stat(context, index),
        Special::Dirents => files::dirents(context, index),
        Special::PollFds => files::poll_fds(context, index),
        Special::FdSet => files::fd_set(context, index),
        Special::Iovec(dir) => files::iovec(context, index, dir),
        Special::IoctlRequest => Some(files::ioctl_request(context.arg(index))),
        Special::HexData => files::hex_data(context, index),
        Special::OpenHow => files::open_how(context, index),
        Special::Termios(dir) => terminal::termios(context, index, dir),
        Special::MountData => files::mount_data(context, index),
        Special::SockAddr(dir) => network::socket_address(context, index, dir),
        Special::SockLen => network::socket_length(context, index),
        Special::SockProtocol => Some(network::protocol(context, index)),
        Special::SockOptName => Some(network::option_name(context, index)),
        Special::SockOptValue(dir) => network::option_value(context, index, dir),
        Special::Msghdr(dir) => network::message(context, index, dir),
        Special::Argv => processes::argv(context, index),
        Special::Envp => processes::envp(context, index),
        Special::CloneFlags | Special::CloneStack | Special::CloneTls => Some(processes::clone_register(context, index, special)),
        Special::CloneParentTid | Special::CloneChildTid => Some(processes::clone_register(context, index, special)),
        Special::CloneArgs => processes::clone_args(context, index),
        Special::WaitStatus => processes::wait_status(context, index),
        Special::CapData => processes::capabilities(context, index),
        Special::CpuSet => processes::cpu_set(context, index),
        Special::IoPriority => Some(processes::io_priority_arg(context, index)),
        Special::Personality => Some(processes::personality(context, index)),
        Special::SigAction => signals::action(context, index),
        Special::SigInfo => signals::info(context, index),
        Special::SigSet(dir) => signals::set_arg(context, index, dir),
        Special::FutexBits => Some(ipc::futex_bits(context, index)),
        Special::FutexWakeOp => Some(ipc::futex_wake_op(context, index)),
        Special::IpcKey => Some(ipc::key(context, index)),
        Special::IpcGetFlags => Some(ipc::get_flags(context, index)),
        Special::Remaining => times::remaining(context, index),
        Special::TimeOut => times::seconds(context, index),
        Special::UtimeSpec => times::pair(context, index, 1_000_000_000),
        Special::UtimeVal => times::pair(context, index, 1_000_000),
    };
    shown.unwrap_or_else(|| number::address(context.arg(index)))
}
