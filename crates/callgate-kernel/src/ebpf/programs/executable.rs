//! Which file a task executes, by a small number, and its path.

use super::super::assembler::{
    Alu, Assembler, FRAME, Helper, Label, R0, R1, R2, R3, R6, R7, R8, R9, Register, When, Width,
};
use super::super::maps::{COMPONENT, Control, LEVELS, NAME_HEAD};
use super::{EventKind, Plan, control_byte, event_no_value, stack};

/// Where registers are saved, and what the walk needs.
const REGISTERS: i16 = stack::SAVED[0];
const NUMBER: i16 = stack::SAVED[1];
const MOUNT: i16 = stack::SAVED[2];
const READ: i16 = stack::SAVED[3];

impl Plan<'_> {
    /// R9 = the number of what task R6 executes; 0 where it is not told apart. R7 and R8 are as
    /// before.
    pub(super) fn executable(&self, a: &mut Assembler) {
        let [found, none, done] = [(); 3].map(|()| a.label());
        let at = &self.layout.executable;
        a.set(R9, 0);
        self.file(a, done);
        // By inode, device and generation.
        a.load(Width::Double, R1, R1, at.inode);
        a.jump_if(When::Equal, R1, 0, done);
        a.load(Width::Double, R2, R1, at.number);
        a.store(Width::Double, FRAME, stack::KEY, R2);
        a.load(Width::Word, R2, R1, at.generation);
        a.store(Width::Word, FRAME, stack::KEY + 12, R2);
        a.load(Width::Double, R1, R1, at.super_block);
        a.jump_if(When::Equal, R1, 0, done);
        a.load(Width::Word, R2, R1, at.device);
        a.store(Width::Word, FRAME, stack::KEY + 8, R2);
        self.find(a);
        a.jump_if(When::NotEqual, R0, 0, found);

        a.map_value(R1, &self.maps.control.map, control_byte(Control::Executables));
        a.set(R9, 1);
        a.fetch_add(Width::Double, R1, 0, R9);
        a.alu(Alu::Add, R9, 1);
        a.jump_if(When::AtLeast, R9, self.maps.slots.cast_signed(), none);
        a.store(Width::Double, FRAME, stack::VALUE, R9);
        self.insert(a, &self.maps.executables);
        let first = a.label();
        a.jump_if(When::Equal, R0, 0, first);
        // Another processor was first: its number is the one.
        self.find(a);
        a.jump_if(When::NotEqual, R0, 0, found);
        a.place(none);
        self.count(a, Control::LostExecutables);
        a.set(R9, 0);
        a.jump(done);

        a.place(first);
        self.path(a);
        a.jump(done);
        a.place(found);
        a.load(Width::Word, R9, R0, 0);
        a.place(done);
    }

    /// R1 = the file that task R6 executes, or goes on at `none`.
    fn file(&self, a: &mut Assembler, none: Label) {
        a.load(Width::Double, R1, R6, self.layout.task.mm);
        a.jump_if(When::Equal, R1, 0, none);
        a.load(Width::Double, R1, R1, self.layout.executable.file);
        a.jump_if(When::Equal, R1, 0, none);
    }

    fn find(&self, a: &mut Assembler) {
        a.map(R1, &self.maps.executables);
        a.set(R2, FRAME);
        a.alu(Alu::Add, R2, i32::from(stack::KEY));
        a.call(Helper::MapLookup);
    }

    /// Writes the path of what task R6 executes into name R9, from the last component to the first,
    /// and tells of it. Up to the root of its mount namespace: what the kernel shows in
    /// `/proc/PID/exe` but for a change of root, and there when the process has ended already.
    fn path(&self, a: &mut Assembler) {
        let [end, told] = [(); 2].map(|()| a.label());
        let at = &self.layout.executable;
        a.store(Width::Double, FRAME, REGISTERS, R7);
        a.store(Width::Double, FRAME, NUMBER, R8);
        a.store(Width::Word, FRAME, stack::KEY, R9);
        a.map(R1, &self.maps.names);
        a.set(R2, FRAME);
        a.alu(Alu::Add, R2, i32::from(stack::KEY));
        a.call(Helper::MapLookup);
        a.jump_if(When::Equal, R0, 0, told);
        a.set(R7, R0);
        a.load(Width::Word, R1, R6, self.layout.task.process);
        a.store(Width::Word, R7, 0, R1);
        self.file(a, told);
        a.load(Width::Double, R8, R1, at.path_entry);
        a.load(Width::Double, R1, R1, at.path_mount);
        // From here on addresses are numbers, which the kernel is asked to read behind.
        a.store(Width::Double, FRAME, MOUNT, R1);
        for level in 0..LEVELS {
            let [named, next] = [(); 2].map(|()| a.label());
            a.load(Width::Double, R1, FRAME, MOUNT);
            read(a, R1, at.root);
            a.load(Width::Double, R1, FRAME, READ);
            a.jump_if(When::NotEqual, R1, R8, named);
            // The root of a mount: on to where it is mounted, unless that is itself.
            a.load(Width::Double, R1, FRAME, MOUNT);
            read(a, R1, at.mountpoint);
            a.load(Width::Double, R8, FRAME, READ);
            a.load(Width::Double, R1, FRAME, MOUNT);
            read(a, R1, at.mount_parent);
            a.load(Width::Double, R1, FRAME, READ);
            a.alu(Alu::Add, R1, i32::from(at.within));
            a.load(Width::Double, R2, FRAME, MOUNT);
            a.jump_if(When::Equal, R1, R2, end);
            a.store(Width::Double, FRAME, MOUNT, R1);
            a.jump(next);
            a.place(named);
            read(a, R8, at.name);
            a.set(R1, R7);
            a.alu(Alu::Add, R1, i32::from(NAME_HEAD) + i32::from(level) * i32::from(COMPONENT));
            a.set(R2, i32::from(COMPONENT));
            a.load(Width::Double, R3, FRAME, READ);
            a.call(Helper::ReadKernelString);
            read(a, R8, at.parent);
            a.load(Width::Double, R1, FRAME, READ);
            // What hangs in no directory, as a memfd does.
            a.jump_if(When::Equal, R1, R8, end);
            a.set(R8, R1);
            a.place(next);
        }
        // Too deep, or changed under the walk.
        a.jump(told);
        a.place(end);
        a.store_constant(Width::Word, R7, 8, 1);
        a.place(told);
        a.store_constant(Width::Word, FRAME, stack::EVENT + 8, 0);
        event_no_value(a);
        self.send(a, EventKind::Executable, 0);
        a.load(Width::Double, R7, FRAME, REGISTERS);
        a.load(Width::Double, R8, FRAME, NUMBER);
    }
}

/// Reads the 64 bits at `base` and an offset to [`READ`]; 0 where there is nothing.
fn read(a: &mut Assembler, base: Register, offset: i16) {
    a.set(R3, base);
    a.alu(Alu::Add, R3, i32::from(offset));
    a.set(R1, FRAME);
    a.alu(Alu::Add, R1, i32::from(READ));
    a.set(R2, 8);
    a.call(Helper::ReadKernel);
}
