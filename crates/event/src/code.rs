//! The public error codes.

/// Declares [`ErrorCode`] with every property of a code beside its name.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $title:literal, $retry:literal, $pure:literal;)+) => {
        /// A stable code of an error, as a problem document (RFC 9457) carries it.
        ///
        /// Codes are added, never renamed. Each has a page under `docs/errors/`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant),+ }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The code with this name, if there is one.
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// The problem's title: the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// Whether the same request may succeed later, unchanged.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retry),+ }
            }

            /// Whether it is certain that the request changed nothing.
            #[must_use]
            pub const fn is_side_effect_free(self) -> bool {
                match self { $(Self::$variant => $pure),+ }
            }
        }

        impl std::fmt::Display for ErrorCode {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

codes! {
    // variant = code, status, title, retryable, side-effect-free
    /// The body is not what its content type says.
    BodyMalformed = "body_malformed", 400, "The body cannot be read", false, true;
    /// A query parameter, path segment or header is wrong.
    RequestInvalid = "request_invalid", 400, "The request is not valid", false, true;
    /// A pattern, its JSONPath or its regular expression is wrong or too large.
    FilterInvalid = "filter_invalid", 400, "The filter is not valid", false, true;
    /// The cursor was not made by this server, or was changed.
    CursorInvalid = "cursor_invalid", 400, "The cursor is not valid", false, true;
    /// The cursor belongs to another tenant or another filter.
    CursorMismatch = "cursor_mismatch", 400, "The cursor belongs to another query", false, true;
    /// No key, or one that is unknown, expired or revoked.
    Unauthenticated = "unauthenticated", 401, "A valid key is required", false, true;
    /// The key does not allow this.
    Forbidden = "forbidden", 403, "The key does not allow this", false, true;
    /// Nothing is served at this path.
    RouteNotFound = "route_not_found", 404, "Nothing is served here", false, true;
    /// The tenant has no events and no settings.
    TenantNotFound = "tenant_not_found", 404, "There is no such tenant", false, true;
    /// The tenant has no event with this id.
    EventNotFound = "event_not_found", 404, "There is no such event", false, true;
    /// There is no intent with this source key.
    IntentNotFound = "intent_not_found", 404, "There is no such intent", false, true;
    /// There is no such key.
    KeyNotFound = "key_not_found", 404, "There is no such key", false, true;
    /// There is no source with this name in the configuration.
    SourceNotFound = "source_not_found", 404, "There is no such source", false, true;
    /// There is no refused row with this id in the source's outbox.
    OutboxRowNotFound = "outbox_row_not_found", 404, "There is no such refused row", false, true;
    /// The tenant has no endpoint with this id.
    EndpointNotFound = "endpoint_not_found", 404, "There is no such endpoint", false, true;
    /// The tenant has no dead letter with this id.
    DeadLetterNotFound = "dead_letter_not_found", 404, "There is no such dead letter", false, true;
    /// The endpoint has no replay with this id.
    ReplayNotFound = "replay_not_found", 404, "There is no such replay", false, true;
    /// The catalog has no type, or no version of it, of this name.
    EventTypeNotFound = "event_type_not_found", 404, "There is no such event type", false, true;
    /// The catalog has no set or policy of this name.
    CatalogEntryNotFound = "catalog_entry_not_found", 404, "There is no such entry in the catalog", false, true;
    /// The tenant has no event in quarantine with this number.
    QuarantinedNotFound = "quarantined_not_found", 404, "There is no such event in quarantine", false, true;
    /// The path does not take this method.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here", false, true;
    /// None of the accepted types can be given.
    NotAcceptable = "not_acceptable", 406, "No acceptable representation", false, true;
    /// The request's body did not arrive in time.
    RequestTimeout = "request_timeout", 408, "The request took too long to arrive", true, true;
    /// The id is taken by an event with other content.
    EventIdConflict = "event_id_conflict", 409, "The event id is taken by other content", false, true;
    /// The source key is taken by an intent or event with other content.
    IntentConflict = "intent_conflict", 409, "The source key is taken by other content", false, true;
    /// The cursor is of another log, or lies beyond this one's end.
    LogRewound = "log_rewound", 409, "The cursor is of another log", false, true;
    /// The tenant has as many endpoints as it may have.
    EndpointLimit = "endpoint_limit", 409, "The tenant has as many endpoints as it may have", false, true;
    /// The endpoint's state does not allow this now.
    EndpointBusy = "endpoint_busy", 409, "The endpoint's state does not allow this now", true, true;
    /// The change breaks a promise that the catalog gives to consumers; the report says which, and shows it.
    CatalogBreaking = "catalog_breaking", 409, "The change would break what the catalog promises", false, true;
    /// Others changed the catalog again and again while this change was checked.
    CatalogBusy = "catalog_busy", 409, "Others are changing the catalog", true, true;
    /// The catalog holds as many types, versions, revisions, sets or policies as it may.
    CatalogFull = "catalog_full", 409, "The catalog holds as much as it may", false, true;
    /// What the cursor points at was erased by retention.
    CursorExpired = "cursor_expired", 410, "The cursor is below the retention floor", false, true;
    /// Events that were asked for by a sequence or a time were erased by retention.
    RangeExpired = "range_expired", 410, "Events of the range were erased", false, true;
    /// More events than a batch may hold.
    BatchTooLarge = "batch_too_large", 413, "Too many events in one batch", false, true;
    /// More bytes than a request may have.
    BodyTooLarge = "body_too_large", 413, "The body is too large", false, true;
    /// The body's content type is not taken here.
    ContentTypeUnsupported = "content_type_unsupported", 415, "The content type is not supported", false, true;
    /// An event breaks the envelope's rules; `errors` says which and where.
    EventInvalid = "event_invalid", 422, "The event is not valid", false, true;
    /// A batch over several tenants leaves ids out, so that a retry could not complete it.
    EventIdsRequired = "event_ids_required", 422, "Events of several tenants need their own ids", false, true;
    /// An event breaks the catalog's rules for its type; `errors` says which and where.
    EventRejected = "event_rejected", 422, "The event breaks the catalog's rules", false, true;
    /// An event breaks the catalog's rules and is kept aside, out of the log; `errors` says which rules and where.
    EventQuarantined = "event_quarantined", 422, "The event is kept in quarantine", false, false;
    /// A definition, a set or a policy is not valid by itself; `errors` and the report say what is wrong.
    DefinitionInvalid = "definition_invalid", 422, "The definition is not valid", false, true;
    /// A member of an endpoint, a replay, a rotation or a back-test breaks a rule; `errors` says which and where.
    EndpointInvalid = "endpoint_invalid", 422, "What is asked of the endpoint is not valid", false, true;
    /// The endpoint did not answer the ownership challenge.
    ChallengeFailed = "challenge_failed", 422, "The endpoint did not answer the challenge", true, true;
    /// The caller sends faster than it may.
    RateLimited = "rate_limited", 429, "Too many requests", true, true;
    /// Something broke that should not.
    Internal = "internal", 500, "Something broke on our side", true, false;
    /// A bounded queue is full.
    Overloaded = "overloaded", 503, "The server is at its limit", true, true;
    /// The server is going down or not yet up.
    Unavailable = "unavailable", 503, "The server is not taking requests", true, true;
    /// The database cannot be reached or cannot write. The write may or may not have happened; retry with the same ids.
    StorageUnavailable = "storage_unavailable", 503, "The storage is not available", true, false;
    /// A producer's database cannot be reached.
    SourceUnavailable = "source_unavailable", 503, "The source is not available", true, false;
}
