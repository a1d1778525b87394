//! One suite for every store: what `Store` promises, asked of SQLite and of a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a promise that is broken ends its test")]

mod append;
mod asides;
mod attempts;
mod catalog;
mod dead;
mod deliver;
mod endpoints;
mod feed;
mod home;
mod keys;
mod leases;
mod lifetime;
mod make;
mod moves;
mod newest;
mod quotas;
mod replays;
mod route;
mod routers;
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

        mod sharded {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(crate::home::Home::sharded().await).await;
                }
            )+)+
        }

        mod pooled {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(crate::home::Home::pooled().await).await;
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
    endpoints:
        an_endpoint_is_read_back_as_it_was_written,
        a_change_is_decided_on_what_the_store_holds,
        a_new_endpoint_may_begin_below_the_checkpoint,
        a_change_that_plans_nothing_appends_nothing,
        what_is_appended_with_a_change_bears_its_revision,
        a_change_that_fails_leaves_nothing,
        endpoints_are_listed_by_their_ids,
        every_change_stands_between_two_positions,
        appends_changes_and_commits_do_not_wait_in_a_circle;
    leases:
        of_two_nodes_only_one_holds_a_lease,
        of_many_claims_at_once_one_wins,
        a_node_whose_heartbeat_stopped_loses_its_leases_by_the_databases_clock_alone,
        a_clock_that_was_set_back_holds_no_lease_for_ever,
        a_paused_owner_that_wakes_up_commits_nothing,
        a_node_that_is_started_again_takes_at_once_what_its_last_run_had,
        a_lease_that_was_given_back_is_free_and_its_epoch_spent,
        a_node_that_leaves_gives_all_back,
        who_beats_is_told_to_all_as_it_said_it,
        a_publishers_checkpoint_moves_only_under_its_epoch,
        a_node_with_another_master_key_is_told_apart,
        who_claims_must_beat_too,
        leases_of_a_role_of_a_later_version_are_passed_over,
        routers_of_a_log_from_before_leases_go_on_where_they_stood;
    routers:
        a_log_that_was_there_before_is_routed_from_its_end,
        a_router_begins_with_what_was_committed,
        routing_tells_what_changed_after_a_revision,
        redrives_of_one_endpoint_leave_room_for_those_of_others,
        a_claim_takes_away_what_no_router_will_hear_of;
    route:
        a_commit_of_a_spent_epoch_writes_nothing_at_all,
        a_checkpoint_never_falls,
        a_commit_writes_each_of_its_parts,
        a_later_row_takes_the_place_of_an_earlier_one,
        a_commit_that_comes_again_changes_nothing,
        an_endpoint_is_disabled_only_while_it_is_active,
        what_a_lane_leaves_behind_goes_when_it_ends,
        attempts_of_any_value_are_read_back,
        a_decision_that_fails_takes_the_commit_with_it,
        of_two_owners_only_the_newer_one_writes;
    attempts:
        attempts_are_found_newest_first_by_what_is_asked,
        attempts_are_kept_by_day,
        room_is_made_while_others_write_and_read;
    dead:
        dead_letters_are_found_by_what_is_asked,
        dead_letters_are_redriven_or_discarded_once,
        dead_letters_asked_for_by_many_at_once_are_settled_once;
    replays:
        a_replay_is_read_back_and_begins_with_a_lane,
        an_endpoint_has_only_so_many_running_replays,
        a_replay_ends_once;
    moves:
        a_moved_tenant_keeps_its_log_and_goes_on_in_the_other_partition,
        who_looks_for_a_moved_tenant_where_it_was_is_told,
        what_deliveries_must_remember_moves_along,
        a_lane_that_has_settled_everything_brings_no_row_along,
        a_tenant_whose_log_lacks_what_its_head_says_is_not_moved,
        a_move_that_makes_no_sense_is_refused_and_one_that_comes_again_changes_nothing,
        appends_and_moves_at_once_leave_no_gap_and_lose_nothing;
    newest:
        an_append_sees_the_newest_event_of_its_entity_among_the_types,
        an_entity_of_any_name_is_found,
        beyond_the_look_back_the_newest_event_is_unknown,
        of_many_appends_at_once_each_sees_the_event_of_the_one_before,
        what_a_transaction_appends_first_is_the_newest_for_what_it_appends_then,
        a_mark_is_written_with_its_row_however_many_there_are,
        marks_are_found_newest_first_by_what_is_asked,
        a_plan_that_marks_what_it_does_not_write_is_refused_and_leaves_nothing;
    catalog:
        a_catalog_begins_empty,
        a_change_is_read_back_as_it_was_written,
        every_revision_of_an_entry_is_kept,
        a_history_is_read_by_place_up_to_its_limits,
        the_newest_of_each_version_is_told_even_if_it_is_gone,
        a_catalog_is_read_in_pieces_of_what_is_newest,
        of_many_changes_at_once_one_is_made_and_the_others_are_stale,
        a_change_must_name_entries_each_once,
        what_is_appended_with_a_change_of_the_catalog_is_written_with_it_or_not_at_all,
        a_dropped_change_of_the_catalog_leaves_all_or_nothing,
        changes_of_the_catalog_do_not_wait_in_a_circle_with_others,
        the_database_refuses_to_change_the_catalogs_history,
        a_log_from_before_the_catalog_keeps_everything;
    quotas:
        a_quota_is_read_back_as_it_was_said_last,
        a_quota_that_is_what_it_was_is_no_change,
        changes_of_quotas_are_told_in_their_order_each_tenants_newest_alone,
        of_many_changes_of_quotas_at_once_none_is_missed;
    asides:
        an_event_put_aside_is_read_back_as_it_was_written,
        the_same_event_is_put_aside_once_with_the_newest_reasons,
        taking_nothing_away_leaves_no_trace,
        a_full_quarantine_takes_nothing_of_a_request,
        events_kept_aside_are_listed_by_number_and_taken_away_once,
        many_at_once_never_exceed_a_quarantines_bound,
        what_was_seen_adds_up,
        of_too_many_publishers_those_seen_last_are_kept,
        only_so_many_publishers_are_kept_however_many_write_at_once;
    lifetime:
        reopening_finds_the_same_log,
        two_stores_on_one_log_see_each_other,
        the_database_refuses_to_change_the_log,
        the_database_refuses_rows_that_break_its_rules,
        a_closed_store_is_not_available,
        durability_names_its_settings,
        a_log_of_a_newer_version_is_refused,
        a_log_that_a_newer_version_only_expanded_is_used;
}
