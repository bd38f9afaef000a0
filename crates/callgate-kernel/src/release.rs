//! The name that the kernel gives itself.

/// The running kernel's release, as `uname -r` prints it: `6.12.95-amd64`.
#[doc(alias = "uname")]
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}
