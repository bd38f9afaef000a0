//! Where this kernel keeps what the recorder's programs read.

use std::fs;

use super::btf::Types;
use super::error::{Error, Kind};

/// Where the kernel describes its types.
const TYPES: &str = "/sys/kernel/btf/vmlinux";

/// Numbers of tracepoints and offsets of fields, in bytes.
pub(super) struct Layout {
    pub(super) sys_enter: u32,
    pub(super) sys_exit: u32,
    pub(super) fork: u32,
    pub(super) exit: u32,
    pub(super) task: Task,
    pub(super) executable: Executable,
    pub(super) registers: Registers,
}

/// Of `task_struct`.
pub(super) struct Task {
    pub(super) mm: i16,
    pub(super) cgroups: i16,
    pub(super) flags: i16,
    pub(super) process: i16,
    /// The first thread of its process.
    pub(super) leader: i16,
    pub(super) seccomp_mode: i16,
    /// `thread_info.status`, which has [`COMPAT`].
    pub(super) status: i16,
    pub(super) stack: i16,
    /// When it was started.
    pub(super) start: i16,
    pub(super) signal: i16,
    /// Of `signal_struct`: how many threads are left.
    pub(super) signal_live: i16,
}

/// On the way from an address space to the file that it executes, and up to its path.
pub(super) struct Executable {
    /// Of `mm_struct`.
    pub(super) file: i16,
    /// Of `file`.
    pub(super) inode: i16,
    pub(super) path_mount: i16,
    pub(super) path_entry: i16,
    /// Of `inode`.
    pub(super) number: i16,
    pub(super) generation: i16,
    pub(super) super_block: i16,
    /// Of `super_block`.
    pub(super) device: i16,
    /// Of `dentry`.
    pub(super) name: i16,
    pub(super) parent: i16,
    /// Of `vfsmount`.
    pub(super) root: i16,
    /// Of `mount`, counted from the `vfsmount` within.
    pub(super) mount_parent: i16,
    pub(super) mountpoint: i16,
    /// Where that `vfsmount` lies in `mount`.
    pub(super) within: i16,
}

/// Of `pt_regs`, in the order of a call's arguments.
pub(super) struct Registers {
    pub(super) number: i16,
    pub(super) native: [i16; 6],
    pub(super) compat: [i16; 6],
}

/// `TS_COMPAT` of `arch/x86/include/asm/thread_info.h`: the call came by the 32-bit table, from a
/// 32-bit program or by `int 0x80` of a 64-bit one.
pub(super) const COMPAT: i32 = 2;

impl Layout {
    /// Of the running kernel.
    pub(super) fn of_this_kernel() -> Result<Layout, Error> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Kind::Architecture.into());
        }
        let data = fs::read(TYPES).map_err(|error| Kind::NoTypes((&error).into()))?;
        let types = Types::new(&data).ok_or(Kind::Type(TYPES))?;
        Layout::from_types(&types)
    }

    fn from_types(types: &Types<'_>) -> Result<Layout, Error> {
        let tracepoint = |name: &'static str| types.typedef(name).ok_or(Kind::Type(name));
        let at = |structure: &'static str, path: &'static [&'static str]| {
            let field = types.field(structure, path);
            field.and_then(|field| i16::try_from(field.offset).ok()).ok_or(Kind::Type(structure))
        };
        let task = |path| at("task_struct", path);
        let register = |path| at("pt_regs", path);
        let within = at("mount", &["mnt"])?;
        Ok(Layout {
            sys_enter: tracepoint("btf_trace_sys_enter")?,
            sys_exit: tracepoint("btf_trace_sys_exit")?,
            fork: tracepoint("btf_trace_sched_process_fork")?,
            exit: tracepoint("btf_trace_sched_process_exit")?,
            task: Task {
                mm: task(&["mm"])?,
                cgroups: task(&["cgroups"])?,
                flags: task(&["flags"])?,
                process: task(&["tgid"])?,
                leader: task(&["group_leader"])?,
                seccomp_mode: task(&["seccomp", "mode"])?,
                status: task(&["thread_info", "status"])?,
                stack: task(&["stack"])?,
                start: task(&["start_boottime"])?,
                signal: task(&["signal"])?,
                signal_live: at("signal_struct", &["live", "counter"])?,
            },
            executable: Executable {
                file: at("mm_struct", &["exe_file"])?,
                inode: at("file", &["f_inode"])?,
                path_mount: at("file", &["f_path", "mnt"])?,
                path_entry: at("file", &["f_path", "dentry"])?,
                number: at("inode", &["i_ino"])?,
                generation: at("inode", &["i_generation"])?,
                super_block: at("inode", &["i_sb"])?,
                device: at("super_block", &["s_dev"])?,
                name: at("dentry", &["d_name", "name"])?,
                parent: at("dentry", &["d_parent"])?,
                root: at("vfsmount", &["mnt_root"])?,
                mount_parent: at("mount", &["mnt_parent"])? - within,
                mountpoint: at("mount", &["mnt_mountpoint"])? - within,
                within,
            },
            registers: Registers {
                number: register(&["orig_ax"])?,
                native: [
                    register(&["di"])?,
                    register(&["si"])?,
                    register(&["dx"])?,
                    register(&["r10"])?,
                    register(&["r8"])?,
                    register(&["r9"])?,
                ],
                compat: [
                    register(&["bx"])?,
                    register(&["cx"])?,
                    register(&["dx"])?,
                    register(&["si"])?,
                    register(&["di"])?,
                    register(&["bp"])?,
                ],
            },
        })
    }
}
