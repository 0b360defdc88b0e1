//! Errors over HTTP: problem details (RFC 9457) that carry the fields of an `error` message too, so that one reader does for both.

use serde::Serialize;

use super::{ErrorCategory, ServerError};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which an answer of 503 may be another one.
pub const RETRY_AFTER_S: u32 = 1;

#[derive(Serialize)]
struct Problem<'text> {
    r#type: String,
    title: &'text str,
    status: u16,
    detail: &'text str,
    #[serde(flatten)]
    error: ServerError<'text>,
}

/// The body of an answer with this status. `title` is what the status is called; `paths` are the fields at fault. Its type is
/// `urn:swarmcast:problem:CODE`.
#[must_use]
pub fn problem(status: u16, code: &str, message: &str, paths: &[&str]) -> Vec<u8> {
    let retryable = status == 503;
    let category = match status {
        401 | 403 | 421 => ErrorCategory::Auth,
        429 => ErrorCategory::RateLimit,
        500.. => ErrorCategory::Server,
        _ => ErrorCategory::Validation,
    };
    let retry_after = retryable.then_some(f64::from(RETRY_AFTER_S));
    let error = ServerError { code, message, category, retryable, retry_after, affected_paths: paths };
    let name = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let r#type = format!("urn:swarmcast:problem:{code}");
    let problem = Problem { r#type, title: name.unwrap_or("Error"), status, detail: message, error };
    let written = serde_json::to_vec(&problem);
    debug_assert!(written.is_ok(), "these types have string keys");
    written.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_an_error_message_too() {
        let text = String::from_utf8(problem(400, "out_of_range", "limit must be 1 to 9", &["limit"])).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"type":"urn:swarmcast:problem:out_of_range","title":"Bad Request","status":400,"#,
                r#""detail":"limit must be 1 to 9","code":"out_of_range","message":"limit must be 1 to 9","#,
                r#""category":"validation","retryable":false,"retryAfter":null,"affectedPaths":["limit"]}"#
            )
        );
        let busy = problem(503, "busy", "later", &[]);
        let json: serde_json::Value = serde_json::from_slice(&busy).unwrap();
        assert_eq!(
            (&json["category"], &json["retryable"], &json["retryAfter"]),
            (&"server".into(), &true.into(), &1.0.into())
        );
    }
}
