//! Who owns which partition, read behind the nodes' backs.

use tokio_postgres::GenericClient;

/// One partition's router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) partition: i32,
    /// Nothing while it was given back.
    pub(crate) node: Option<String>,
    pub(crate) epoch: i64,
    pub(crate) checkpoint: i64,
}

/// The table that says so, with the columns that tell a partition.
const OWNERS: &str = "\
    select slot::integer, node, epoch, checkpoint from tidings.leases where role = 'router' order by slot::integer";

/// The owners of all partitions.
pub(crate) async fn owners(client: &impl GenericClient) -> anyhow::Result<Vec<Owner>> {
    let rows = client.query(OWNERS, &[]).await?;
    let owner = |row: &tokio_postgres::Row| {
        Ok(Owner {
            partition: row.try_get(0)?,
            node: row.try_get(1)?,
            epoch: row.try_get(2)?,
            checkpoint: row.try_get(3)?,
        })
    };
    rows.iter().map(owner).collect()
}

/// The node that owns most partitions.
pub(crate) fn busiest(owners: &[Owner]) -> Option<String> {
    let mut counts = std::collections::BTreeMap::new();
    for node in owners.iter().filter_map(|owner| owner.node.as_deref()) {
        *counts.entry(node).or_insert(0_usize) += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(node, _)| node.to_owned())
}
