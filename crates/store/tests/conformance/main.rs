//! One suite for every store: what `Store` promises, asked of SQLite and of a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a promise that is broken ends its test")]

mod append;
mod feed;
mod home;
mod keys;
mod lifetime;
mod make;
mod search;
mod tenants;

/// Runs each promise on each database.
macro_rules! promises {
    ($($module:ident: $($name:ident),+;)+) => {
        mod sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(crate::home::Home::sqlite()).await;
                }
            )+)+
        }

        mod postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(crate::home::Home::postgres().await).await;
                }
            )+)+
        }
    };
}

promises! {
    append:
        an_append_is_read_back_as_it_was_written,
        data_is_kept_byte_for_byte,
        positions_and_sequences_count_from_one_without_a_gap,
        an_id_that_is_taken_is_shown_to_the_decision_with_its_event,
        the_same_id_in_two_tenants_is_two_events,
        a_plan_without_rows_writes_nothing,
        a_plan_with_a_gap_is_refused_and_leaves_nothing,
        a_decision_that_panics_leaves_nothing_and_the_store_works_on,
        a_dropped_append_leaves_all_or_nothing_and_the_store_works_on,
        eight_writers_on_one_partition_leave_no_gap,
        readers_never_see_a_gap_or_a_sequence_above_the_head,
        partitions_are_counted_apart,
        a_thousand_events_of_many_tenants_fit_one_append;
    feed:
        a_feed_reads_after_a_sequence_up_to_its_limits,
        at_least_one_event_is_read_whatever_the_limit,
        numbers_beyond_the_end_read_nothing,
        a_feed_below_the_floor_reads_nothing_and_names_the_floor,
        the_tail_reads_a_partition_in_order,
        the_sequence_before_a_moment_is_found,
        an_event_is_found_by_its_tenant_and_id;
    search:
        every_column_narrows_a_search,
        types_are_found_exactly_and_by_prefix,
        a_correlation_finds_the_event_that_began_it,
        a_search_reads_both_ways_between_its_bounds,
        effects_are_found_by_their_causes;
    tenants:
        a_tenant_keeps_the_place_it_got_first,
        tenants_are_listed_by_name,
        a_tenant_of_any_script_is_found_again,
        a_place_that_does_not_exist_is_refused;
    keys:
        a_key_is_found_by_its_hash_and_listed_by_its_id,
        a_revoked_key_stays_revoked_since_the_first_time;
    lifetime:
        reopening_finds_the_same_log,
        two_stores_on_one_log_see_each_other,
        the_database_refuses_to_change_the_log,
        the_database_refuses_rows_that_break_its_rules,
        a_closed_store_is_not_available,
        durability_names_its_settings,
        a_log_of_a_newer_version_is_refused;
}
