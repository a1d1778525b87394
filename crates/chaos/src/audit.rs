//! A second pair of eyes inside the database: triggers that write down who moved a checkpoint or settled something
//! without being the owner. A node is known by its connections' application name.

use tokio_postgres::{Client, GenericClient};

use crate::owners::leases_are_general;

const TABLES: &str = "\
    create schema if not exists chaos; \
    create table chaos.stale ( \
        no bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(), \
        tab text not null, slot text not null, holder text, writer text not null, detail text not null); \
    create table chaos.claims ( \
        no bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(), \
        role text not null, slot text not null, node text, epoch bigint not null, writer text not null);";

/// For a table of leases: its name, and how its rows tell role and slot.
fn of_leases(table: &str, role: &str, slot: &str) -> String {
    format!(
        "create function chaos.lease_changed() returns trigger language plpgsql as $$ \
         declare writer text := current_setting('application_name'); \
         begin \
            if new.epoch <> old.epoch then \
                insert into chaos.claims (role, slot, node, epoch, writer) \
                values ({role}, {slot}, new.node, new.epoch, writer); \
            end if; \
            if new.checkpoint is distinct from old.checkpoint \
               and (new.node is distinct from writer or old.node is distinct from writer) then \
                insert into chaos.stale (tab, slot, holder, writer, detail) values ('{table}', {slot}, new.node, writer, \
                    {role} || ' checkpoint ' || old.checkpoint || ' to ' || new.checkpoint || ' epoch ' || new.epoch); \
            end if; \
            return null; \
         end $$; \
         create trigger chaos_lease_changed after update on tidings.{table} for each row \
         execute function chaos.lease_changed();"
    )
}

/// For tables that routers alone write; `holder` is a query of a partition's owner.
fn of_routers(holder: &str) -> String {
    let mut sql = format!(
        "create function chaos.router_wrote() returns trigger language plpgsql as $$ \
         declare writer text := current_setting('application_name'); holder text; \
         begin \
            {holder}; \
            if holder is distinct from writer then \
                insert into chaos.stale (tab, slot, holder, writer, detail) \
                values (tg_table_name, new.partition::text, holder, writer, new::text); \
            end if; \
            return null; \
         end $$;"
    );
    for table in ["retries", "circuits"] {
        sql.push_str(&format!(
            "create trigger chaos_router_wrote after insert or update on tidings.{table} for each row \
             execute function chaos.router_wrote();"
        ));
    }
    sql
}

/// Installs the triggers into the log's database.
pub(crate) async fn install(client: &Client) -> anyhow::Result<()> {
    client.batch_execute(TABLES).await?;
    let (leases, holder) = if leases_are_general(client).await? {
        let holder = "select node into holder from tidings.leases where role = 'router' and slot = new.partition::text";
        (of_leases("leases", "new.role::text", "new.slot::text"), holder)
    } else {
        let holder = "select node into holder from tidings.routers where partition = new.partition";
        (of_leases("routers", "'router'", "new.partition::text"), holder)
    };
    client.batch_execute(&leases).await?;
    client.batch_execute(&of_routers(holder)).await?;
    Ok(())
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
