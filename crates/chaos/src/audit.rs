//! A second pair of eyes inside the database: triggers that write down who moved a checkpoint or settled something
//! without being the owner. A run of a node is known by its connections' application name, `node-1.3` for the third run
//! of `node-1`: the run that claimed an epoch is the only one that may write under it.

use tokio_postgres::{Client, GenericClient};

use crate::history::History;

/// The tables of the audit. Leases that were claimed before it are taken to be of the first run.
const TABLES: &str = "\
    create schema if not exists chaos; \
    create table chaos.stale ( \
        no bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(), \
        tab text not null, slot text not null, holder text, writer text not null, detail text not null); \
    create table chaos.claims ( \
        no bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(), \
        role text not null, slot text not null, node text, epoch bigint not null, writer text not null); \
    create index on chaos.claims (role, slot, epoch, no); \
    lock table tidings.leases in share row exclusive mode; \
    insert into chaos.claims (role, slot, node, epoch, writer) \
    select role, slot, node, epoch, coalesce(node, '') || '.1' from tidings.leases;";

const LEASES: &str = "\
    create function chaos.lease_changed() returns trigger language plpgsql as $$ \
    declare writer text := current_setting('application_name'); holder text; \
    begin \
        if new.epoch <> old.epoch then \
            insert into chaos.claims (role, slot, node, epoch, writer) \
            values (new.role, new.slot, new.node, new.epoch, writer); \
        end if; \
        if new.checkpoint is distinct from old.checkpoint then \
            select c.writer into holder from chaos.claims c \
            where c.role = new.role and c.slot = new.slot and c.epoch = new.epoch order by c.no desc limit 1; \
            if new.node is null or old.node is null or holder is distinct from writer then \
                insert into chaos.stale (tab, slot, holder, writer, detail) values ('leases', new.slot, holder, writer, \
                    new.role || ' checkpoint ' || old.checkpoint || ' to ' || new.checkpoint || ' epoch ' || new.epoch); \
            end if; \
        end if; \
        return null; \
    end $$; \
    create trigger chaos_lease_changed after update on tidings.leases for each row \
    execute function chaos.lease_changed();";

/// For tables that routers write. Rows of `lanes` are put by changes of endpoints as well, at any node; routers alone
/// take them away.
const ROUTERS: &str = "\
    create function chaos.router_wrote() returns trigger language plpgsql as $$ \
    declare writer text := current_setting('application_name'); holder text; written record; \
    begin \
        if tg_op = 'DELETE' then written := old; else written := new; end if; \
        select c.writer into holder from tidings.leases l \
        join chaos.claims c on c.role = l.role and c.slot = l.slot and c.epoch = l.epoch \
        where l.role = 'router' and l.slot = written.partition::text and l.node is not null \
        order by c.no desc limit 1; \
        if holder is distinct from writer then \
            insert into chaos.stale (tab, slot, holder, writer, detail) \
            values (tg_table_name, written.partition::text, holder, writer, tg_op || ' ' || written::text); \
        end if; \
        return null; \
    end $$; \
    create trigger chaos_router_wrote after insert or update or delete on tidings.retries for each row \
    execute function chaos.router_wrote(); \
    create trigger chaos_router_wrote after insert or update or delete on tidings.circuits for each row \
    execute function chaos.router_wrote(); \
    create trigger chaos_router_wrote after delete on tidings.lanes for each row \
    execute function chaos.router_wrote();";

/// Installs the triggers into the log's database, all at once: between two of them nobody claims a lease.
pub(crate) async fn install(client: &Client) -> anyhow::Result<()> {
    Ok(client.batch_execute(&format!("begin; {TABLES} {LEASES} {ROUTERS} commit")).await?)
}

/// What somebody wrote who did not own it, beyond a number that is known already: number and words.
pub(crate) async fn stale(client: &impl GenericClient, after: i64) -> anyhow::Result<Vec<(i64, String)>> {
    let sql = "select no, at || ': ' || writer || ' wrote ' || tab || ' of ' || slot || ' which belonged to ' || \
               coalesce(holder, 'nobody') || ': ' || detail from chaos.stale where no > $1 order by no";
    let rows = client.query(sql, &[&after]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// How often a lease was claimed.
pub(crate) async fn claims(client: &impl GenericClient) -> anyhow::Result<i64> {
    Ok(client.query_one("select count(*) from chaos.claims", &[]).await?.try_get(0)?)
}

/// Who claimed a partition, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) partition: i32,
    pub(crate) node: Option<String>,
    pub(crate) at: std::time::Duration,
}

/// All claims of routers, in their order.
pub(crate) async fn routers(client: &impl GenericClient, history: &History) -> anyhow::Result<Vec<Claim>> {
    let sql = "select slot::integer, node, (extract(epoch from at) * 1000)::bigint from chaos.claims \
               where role = 'router' order by no";
    let rows = client.query(sql, &[]).await?;
    let claim = |row: &tokio_postgres::Row| {
        let unix_ms: i64 = row.try_get(2)?;
        let at = history.of_clock(unix_ms.cast_unsigned());
        Ok(Claim { partition: row.try_get(0)?, node: row.try_get(1)?, at })
    };
    rows.iter().map(claim).collect()
}

#[cfg(test)]
mod tests {
    use tidings_testkit::Postgres;

    use super::*;
    use crate::direct;

    const LOG: &str = "\
        create schema tidings; \
        create table tidings.leases (role text, slot text, node text, epoch bigint, checkpoint bigint); \
        create table tidings.retries (partition integer, lane bigint); \
        create table tidings.circuits (like tidings.retries); \
        create table tidings.lanes (like tidings.retries); \
        insert into tidings.leases values ('router', '0', 'node-1', 1, 0); \
        insert into tidings.retries values (0, 1), (0, 2); \
        insert into tidings.lanes values (0, 1), (0, 2)";

    #[tokio::test]
    async fn a_run_that_does_not_own_an_epoch_is_found_where_it_writes() {
        let database = Postgres::shared().database().await;
        let client = direct::connect(&database.url()).await.unwrap();
        client.batch_execute(LOG).await.unwrap();
        install(&client).await.unwrap();
        let mut known = 0;
        for (writer, sql, fine) in [
            ("node-1.1", "update tidings.leases set checkpoint = 1", true),
            ("node-1.1", "delete from tidings.retries where lane = 1", true),
            ("node-1.2", "update tidings.leases set checkpoint = 2", false),
            ("node-1.2", "update tidings.leases set epoch = 2", true),
            ("node-1.2", "update tidings.leases set checkpoint = 3", true),
            ("node-1.1", "update tidings.leases set checkpoint = 4", false),
            ("node-1.1", "insert into tidings.retries values (0, 3)", false),
            ("node-1.1", "delete from tidings.retries where lane = 2", false),
            ("node-1.1", "delete from tidings.lanes where lane = 1", false),
            ("node-1.1", "insert into tidings.lanes values (0, 3)", true),
            ("node-1.2", "delete from tidings.lanes where lane = 2", true),
            ("node-1.2", "update tidings.leases set node = null", true),
            ("node-1.2", "insert into tidings.circuits values (0, 1)", false),
        ] {
            client.batch_execute(&format!("set application_name = '{writer}'; {sql}")).await.unwrap();
            let found = stale(&client, known).await.unwrap();
            assert_eq!(found.is_empty(), fine, "{writer}: {sql}: {found:?}");
            known = found.last().map_or(known, |(no, _)| *no);
        }
        assert_eq!(claims(&client).await.unwrap(), 2);
    }
}
