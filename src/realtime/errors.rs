//! What to do about a failure: one pure function over everything the server may say.
//!
//! The codes are those of Supabase's protocol guide, its `ERROR_CODES.md` and
//! `realtime_channel.ex`; where the two disagree, the source wins.

use std::time::Duration;

/// A failure as the client meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'a> {
    /// The reason of a refused push, or the text of a `system` message with status `error`.
    Reason(&'a str),
    /// The status of the HTTP answer that refused the websocket handshake.
    Handshake(u16),
    /// `phx_error`: the channel's process crashed.
    ChannelCrashed,
    /// `phx_close` that nobody asked for.
    ChannelClosed,
    /// A push was not answered in time.
    Unanswered,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Get a fresh access token, then join again.
    RefreshToken,
    /// Try again on the usual schedule (1, 2, 5, 10 s).
    Retry,
    /// Try again on the usual schedule, but not before this long.
    BackOff {
        /// The shortest wait.
        at_least: Duration,
    },
    /// Try again about once a minute: it may become right without anybody telling this daemon.
    RetrySlowly,
    /// A human must act; tell one, and probe every few minutes.
    Stop,
    /// Carry on as if nothing had been said.
    Ignore,
}

/// The shortest wait after a rate limit: the server averages over up to 60 s.
const RATE_LIMITED: Disposition = Disposition::BackOff { at_least: Duration::from_secs(10) };
/// The shortest wait when the server's own database is busy or absent.
const OVERLOADED: Disposition = Disposition::BackOff { at_least: Duration::from_secs(5) };

/// Decides what to do about a failure. Anything unknown can be retried.
#[must_use]
pub fn classify(failure: Failure<'_>) -> Disposition {
    match failure {
        Failure::Reason(reason) => by_code(reason).unwrap_or_else(|| by_text(reason)),
        Failure::Handshake(status) => by_status(status),
        Failure::ChannelCrashed | Failure::ChannelClosed | Failure::Unanswered => {
            Disposition::Retry
        }
    }
}

/// Reasons are `Code: text`, or a bare code.
fn by_code(reason: &str) -> Option<Disposition> {
    let code = reason.split_once(':').map_or(reason, |(code, _)| code).trim();
    Some(match code {
        "InvalidJWTToken" | "InvalidJWTExpiration" => Disposition::RefreshToken,
        "MalformedJWT"
        | "JwtSignatureError"
        | "JwtSignerError"
        | "Unauthorized"
        | "PrivateOnly"
        | "TopicNameRequired"
        | "TenantNotFound"
        | "RealtimeDisabledForTenant" => Disposition::Stop,
        "ConnectionRateLimitReached"
        | "ClientJoinRateLimitReached"
        | "JoinsRateLimitReached"
        | "ChannelRateLimitReached"
        | "MessagePerSecondRateLimitReached"
        | "DatabaseConnectionRateLimitReached" => RATE_LIMITED,
        "InitializingProjectConnection"
        | "IncreaseConnectionPool"
        | "IncreaseSubscriptionConnectionPool"
        | "DatabaseLackOfConnections"
        | "UnableToConnectToProject"
        | "UnableToConnectToTenantDatabase"
        | "UnableToSubscribeToPostgres"
        | "TimeoutOnRpcCall"
        | "ErrorOnRpcCall"
        | "MusterJoinError"
        | "QueryCanceled"
        | "MissingPartition" => OVERLOADED,
        "RealtimeDisabledForConfiguration" => Disposition::RetrySlowly,
        "UnableToReplayMessages" => Disposition::Ignore,
        "RealtimeRestarting" | "UnknownErrorOnChannel" => Disposition::Retry,
        _ => return None,
    })
}

/// Texts that the server sends without a code, mostly as `system` messages.
fn by_text(text: &str) -> Disposition {
    let begins = |prefix: &str| text.starts_with(prefix);
    if begins("Token has expired")
        || begins("Fields `role` and `exp` are required")
        || begins("Token expiration time is invalid")
        || text == ":expired_token"
    {
        // A token of ours always has both claims, so a fresh one settles each of these.
        Disposition::RefreshToken
    } else if text == ":signature_error"
        || begins("Failed to validate JWT signature")
        || begins("Failed to generate JWT signer")
        || begins("The token provided is not a valid JWT")
        || begins("You do not have permissions")
        || begins("You no longer have permission")
    {
        Disposition::Stop
    } else if begins("Unable to subscribe to changes with given parameters")
        || begins("Error parsing `filter` params")
    {
        // The server does not try again by itself, but the table may be published later.
        Disposition::RetrySlowly
    } else if begins("Too many ") {
        // "… messages per second", "… joins per second", "… channels", "… database timeouts".
        RATE_LIMITED
    } else if begins("Realtime was unable to connect to the project database")
        || begins("Node request timeout")
        || begins("RPC call error")
        || begins("Query was cancelled")
        || begins("Database can't accept more connections")
        || begins("Please increase your connection pool size")
    {
        OVERLOADED
    } else {
        Disposition::Retry
    }
}

/// The handshake is authorised by the API key, which this daemon cannot renew.
fn by_status(status: u16) -> Disposition {
    match status {
        429 => RATE_LIMITED,
        408 | 425 => Disposition::Retry,
        // A gateway in front of a paused or restarting project answers 5xx.
        500..=599 => OVERLOADED,
        // 401 key refused, 403 tenant suspended or protocol unknown, 404 tenant or path unknown;
        // redirects and other refusals mean a wrong address.
        _ => Disposition::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Disposition::{Ignore, RefreshToken, Retry, RetrySlowly, Stop};

    /// Every code of the reference, every reason of the captured traffic, every handshake status.
    #[test]
    fn every_failure_has_its_disposition() {
        let reasons = [
            ("InvalidJWTToken: Token has expired 60 seconds ago", RefreshToken),
            ("InvalidJWTToken: Fields `role` and `exp` are required in JWT", RefreshToken),
            ("Token has expired 0 seconds ago", RefreshToken),
            ("Fields `role` and `exp` are required in JWT", RefreshToken),
            ("MalformedJWT: The token provided is not a valid JWT", Stop),
            ("JwtSignatureError: Failed to validate JWT signature", Stop),
            ("JwtSignerError: Failed to generate JWT signer, check your JWT secret", Stop),
            (":signature_error", Stop),
            ("Failed to generate JWT signer for key ID (kid) \"a\", check your JWKS", Stop),
            ("Unauthorized: You do not have permissions to read from this Channel", Stop),
            ("You no longer have permission to read from this Channel topic: a", Stop),
            ("PrivateOnly: This project only allows private channels", Stop),
            ("TopicNameRequired: You must provide a topic name", Stop),
            ("TenantNotFound: Tenant with the given ID does not exist", Stop),
            ("RealtimeDisabledForTenant: Realtime disabled for this tenant", Stop),
            ("ConnectionRateLimitReached: Too many connected users", RATE_LIMITED),
            ("ClientJoinRateLimitReached: Too many joins per second", RATE_LIMITED),
            ("JoinsRateLimitReached", RATE_LIMITED),
            ("ChannelRateLimitReached: Too many channels", RATE_LIMITED),
            ("DatabaseConnectionRateLimitReached: Too many database attempts", RATE_LIMITED),
            ("Too many messages per second", RATE_LIMITED),
            ("Too many database timeouts", RATE_LIMITED),
            ("InitializingProjectConnection: Connecting to the project database", OVERLOADED),
            ("IncreaseConnectionPool: Please increase your connection pool size", OVERLOADED),
            ("IncreaseSubscriptionConnectionPool: too few", OVERLOADED),
            ("DatabaseLackOfConnections: Database can't accept more", OVERLOADED),
            ("UnableToConnectToProject: Realtime was unable to connect", OVERLOADED),
            ("UnableToConnectToTenantDatabase: no", OVERLOADED),
            ("Realtime was unable to connect to the project database", OVERLOADED),
            ("TimeoutOnRpcCall: Node request timeout", OVERLOADED),
            ("Node request timeout", OVERLOADED),
            ("ErrorOnRpcCall: RPC call error: :nodedown", OVERLOADED),
            ("MusterJoinError: timed out after 4000ms", OVERLOADED),
            ("QueryCanceled: canceling statement", OVERLOADED),
            ("RealtimeRestarting: Realtime is restarting, please standby", Retry),
            ("RealtimeDisabledForConfiguration: bad", RetrySlowly),
            ("Unable to subscribe to changes with given parameters. Please check", RetrySlowly),
            ("Error parsing `filter` params: [\"foo\", \"1\"]", RetrySlowly),
            ("UnableToReplayMessages: Replay params are not valid", Ignore),
            ("Unknown Error on Channel", Retry),
            ("UnknownErrorOnChannel: no function clause matching in Access.get/3", Retry),
            ("unmatched topic", Retry),
            ("", Retry),
            ("something new: of a later server", Retry),
        ];
        for (reason, expected) in reasons {
            assert_eq!(classify(Failure::Reason(reason)), expected, "{reason}");
        }
        let statuses = [
            (301, Stop),
            (400, Stop),
            (401, Stop),
            (403, Stop),
            (404, Stop),
            (408, Retry),
            (429, RATE_LIMITED),
            (500, OVERLOADED),
            (502, OVERLOADED),
            (503, OVERLOADED),
        ];
        for (status, expected) in statuses {
            assert_eq!(classify(Failure::Handshake(status)), expected, "{status}");
        }
        for failure in [Failure::ChannelCrashed, Failure::ChannelClosed, Failure::Unanswered] {
            assert_eq!(classify(failure), Retry, "{failure:?}");
        }
    }
}
