//! The stat structures as tests look at them (offsets: Linux,
//! arch/x86/include/uapi/asm/stat.h, include/uapi/linux/stat.h, statfs.h).

/// What `struct stat` and `struct statx` both say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) mode: u16,
    pub(crate) ino: u64,
    pub(crate) nlink: u64,
    pub(crate) size: u64,
    pub(crate) dev: u64,
    pub(crate) rdev: u64,
    pub(crate) uid: u32,
    pub(crate) accessed: (u64, u64),
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Facts {
    pub(crate) fn of_stat(stat: &[u8; 144]) -> Self {
        Self {
            dev: u64_at(stat, 0),
            ino: u64_at(stat, 8),
            nlink: u64_at(stat, 16),
            mode: u32_at(stat, 24) as u16,
            uid: u32_at(stat, 28),
            rdev: u64_at(stat, 40),
            accessed: (u64_at(stat, 72), u64_at(stat, 80)),
            size: u64_at(stat, 48),
        }
    }

    pub(crate) fn of_statx(statx: &[u8; 256]) -> Self {
        assert_eq!(u32_at(statx, 0) & 0x7ff, 0x7ff, "stx_mask lacks basic fields");
        Self {
            nlink: u64::from(u32_at(statx, 16)),
            uid: u32_at(statx, 20),
            accessed: (u64_at(statx, 64), u64::from(u32_at(statx, 72))),
            rdev: u64::from(u32_at(statx, 128)) << 8 | u64::from(u32_at(statx, 132)),
            mode: u16::from_le_bytes([statx[28], statx[29]]),
            ino: u64_at(statx, 32),
            size: u64_at(statx, 40),
            // Major and minor number; a stat's st_dev has them as one.
            dev: u64::from(u32_at(statx, 136)) << 8 | u64::from(u32_at(statx, 140)),
        }
    }

    pub(crate) fn stat(self) -> [u8; 144] {
        let mut stat = [0; 144];
        stat[..8].copy_from_slice(&self.dev.to_le_bytes());
        stat[8..16].copy_from_slice(&self.ino.to_le_bytes());
        stat[16..24].copy_from_slice(&self.nlink.to_le_bytes());
        stat[24..28].copy_from_slice(&u32::from(self.mode).to_le_bytes());
        stat[28..32].copy_from_slice(&self.uid.to_le_bytes());
        stat[40..48].copy_from_slice(&self.rdev.to_le_bytes());
        stat[72..80].copy_from_slice(&self.accessed.0.to_le_bytes());
        stat[80..88].copy_from_slice(&self.accessed.1.to_le_bytes());
        stat[48..56].copy_from_slice(&self.size.to_le_bytes());
        stat
    }

    pub(crate) fn statx(self) -> [u8; 256] {
        let mut statx = [0; 256];
        statx[..4].copy_from_slice(&0x7ffu32.to_le_bytes());
        statx[16..20].copy_from_slice(&(self.nlink as u32).to_le_bytes());
        statx[20..24].copy_from_slice(&self.uid.to_le_bytes());
        statx[64..72].copy_from_slice(&self.accessed.0.to_le_bytes());
        statx[72..76].copy_from_slice(&(self.accessed.1 as u32).to_le_bytes());
        statx[28..30].copy_from_slice(&self.mode.to_le_bytes());
        statx[32..40].copy_from_slice(&self.ino.to_le_bytes());
        statx[40..48].copy_from_slice(&self.size.to_le_bytes());
        statx[140..144].copy_from_slice(&(self.dev as u32).to_le_bytes());
        statx
    }
}
