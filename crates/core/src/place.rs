//! Where a tenant lives.

use sha2::{Digest as _, Sha256};
use tidings_event::{PartitionId, TenantId};

/// The partition in which a tenant is placed when it is first seen: the first eight bytes of SHA-256 over its name,
/// read as a big-endian number, modulo the count of partitions. Stable over versions and machines; a tenant that was
/// placed stays where it is when partitions are added, because the store keeps the answer.
///
/// A count of zero is taken as one.
#[must_use]
pub fn partition_of(tenant: &TenantId, partitions: u32) -> PartitionId {
    let hash: [u8; 32] = Sha256::digest(tenant.as_str().as_bytes()).into();
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let partition = number % u64::from(partitions.max(1));
    PartitionId(u32::try_from(partition).expect("a remainder of a u32 fits a u32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tenant: &str, partitions: u32) -> u32 {
        partition_of(&TenantId::parse(tenant).unwrap(), partitions).0
    }

    #[test]
    fn placement_never_changes_between_versions() {
        assert_eq!([place("acme", 16), place("globex", 16), place("$system", 16)], [0, 7, 6]);
        assert_eq!([place("acme", 1), place("acme", 0)], [0, 0]);
    }

    #[test]
    fn tenants_spread_evenly() {
        let mut counts = [0_u32; 16];
        for n in 0..16_000 {
            counts[place(&format!("tenant_{n}"), 16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
