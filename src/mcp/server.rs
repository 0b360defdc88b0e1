//! What all connections share: what is offered, who may come in, what cursors are signed with.

use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::catalogue::{Catalogue, CatalogueError, Scopes};
use super::rates::RateLimits;
use super::reply::SERVER_INFO;
use super::rpc::text;

/// Somebody who may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// For logs, and as the author of changes.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Scopes,
}

/// What all connections share.
#[derive(Debug)]
pub struct Server {
    /// What is offered.
    pub catalogue: Catalogue,
    /// `serverInfo`, as JSON.
    pub(super) info: Vec<u8>,
    /// What every result of 2026-07-28 begins with, behind its kind.
    pub(super) modern_lead: Vec<u8>,
    /// What each principal may ask for.
    pub rate_limits: RateLimits,
    secret: [u8; 32],
    /// Digests of tokens, and whose they are.
    tokens: Vec<([u8; 32], Principal)>,
}

/// Bytes of a signature in a cursor.
const SIGNATURE_BYTES: usize = 12;

/// Bytes of the name of a session.
const SESSION_ID_BYTES: usize = 16;

impl Server {
    /// A server with the engine's own tools, those of these sets. `secret` is random and kept from everybody.
    ///
    /// # Errors
    /// [`CatalogueError`]: of a set that there is not, and never else with the catalogue that the tests have seen.
    pub fn new(version: &str, secret: [u8; 32], sets: &[&str]) -> Result<Self, CatalogueError> {
        Ok(Self::with(Catalogue::of_engine(sets)?, "swarmcast", version, secret))
    }

    /// A server of that name with another catalogue.
    #[must_use]
    pub fn with(catalogue: Catalogue, name: &str, version: &str, secret: [u8; 32]) -> Self {
        let mut info = br#"{"name":"#.to_vec();
        text(name, &mut info);
        info.extend_from_slice(br#","version":"#);
        text(version, &mut info);
        info.push(b'}');
        let mut modern_lead = br#"","_meta":{"#.to_vec();
        text(SERVER_INFO, &mut modern_lead);
        modern_lead.push(b':');
        modern_lead.extend_from_slice(&info);
        modern_lead.extend_from_slice(b"},");
        Self { catalogue, info, modern_lead, rate_limits: RateLimits::default(), secret, tokens: Vec::new() }
    }

    /// Lets whoever shows `token` in as `principal`. Only its digest is kept.
    pub fn add_token(&mut self, token: &str, principal: Principal) {
        self.tokens.push((self.digest(&[b"token", token.as_bytes()]), principal));
    }

    /// Whose token this is. Digests under a secret are compared, so the time it takes says nothing about a token.
    #[must_use]
    pub fn admit(&self, token: &str) -> Option<Principal> {
        let digest = self.digest(&[b"token", token.as_bytes()]);
        self.tokens.iter().find(|(known, _)| *known == digest).map(|(_, principal)| principal.clone())
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        // A key of any length is right.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The name of the `count`th session of HTTP: nobody can guess it who does not have the secret.
    #[must_use]
    pub(super) fn session_id(&self, count: u64) -> Box<str> {
        let digest = self.digest(&[b"session", &count.to_le_bytes()]);
        digest.iter().take(SESSION_ID_BYTES).map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }

    /// A cursor that only this principal can use, for this tool with these arguments.
    #[must_use]
    pub fn sign(&self, principal: &str, scope: &str, position: u64) -> String {
        let position = position.to_le_bytes();
        let digest = self.digest(&[b"cursor", principal.as_bytes(), scope.as_bytes(), &position]);
        let mut out = String::with_capacity(2 * (position.len() + SIGNATURE_BYTES));
        for byte in position.iter().chain(digest.iter().take(SIGNATURE_BYTES)) {
            out.push_str(&format!("{byte:02x}"));
        }
        out
    }

    /// The position of a cursor that was given out for this; `None` for any other text.
    #[must_use]
    pub fn verify(&self, principal: &str, scope: &str, cursor: &str) -> Option<u64> {
        let position = cursor.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok())?.swap_bytes();
        (self.sign(principal, scope, position) == cursor).then_some(position)
    }
}
