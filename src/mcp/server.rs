//! What all connections share: what is offered, who may come in, what cursors are signed with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::catalogue::{Catalogue, CatalogueError, Scopes};
use super::methods::{expired_token, wrong_token};
use super::rates::RateLimits;
use super::reply::SERVER_INFO;
use super::rpc::{RpcError, text};
use super::tokens::{NamedToken, Problem};
use crate::base::hex;
use crate::limits::{MCP_CONNECTIONS_PER_TOKEN, MCP_CURSOR_LIFE_S};

/// Somebody who may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// For logs, and as the author of changes.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Scopes,
}

/// Who has shown a token, and for how long that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Whose token it is.
    pub principal: Principal,
    /// When it ends, ms since 1970; `None` is never.
    pub until_ms: Option<u64>,
    /// Which token it was, where one was shown to a server.
    pub token: Option<TokenId>,
}

/// A token's digest under a secret of this run: tells it from others, and nothing of it.
pub type TokenId = [u8; 32];

/// What all connections share.
#[derive(Debug)]
pub struct Server {
    /// What is offered.
    pub catalogue: Arc<Catalogue>,
    /// `serverInfo`, as JSON.
    pub(super) info: Vec<u8>,
    /// What every result of 2026-07-28 begins with, behind its kind.
    pub(super) modern_lead: Vec<u8>,
    /// What each principal may ask for, to begin with.
    pub rate_limits: RateLimits,
    /// How many connections each principal may have at once, to begin with.
    pub connections_max: usize,
    secret: [u8; 32],
    /// Tokens that stay, and whose they are.
    own: HashMap<TokenId, Admitted>,
    /// Those of the file, which may be another one later.
    named: HashMap<TokenId, Admitted>,
    /// What time it is, ms since 1970, as whoever has the clock said last; 0 before that, when nothing has ended yet.
    now_ms: AtomicU64,
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
        Self {
            catalogue: Arc::new(catalogue),
            info,
            modern_lead,
            rate_limits: RateLimits::default(),
            connections_max: MCP_CONNECTIONS_PER_TOKEN,
            secret,
            own: HashMap::new(),
            named: HashMap::new(),
            now_ms: AtomicU64::new(0),
        }
    }

    /// Lets whoever shows `token` in as `principal`, for good. Only its digest is kept.
    pub fn add_token(&mut self, token: &str, principal: Principal) {
        let id = self.token_id(token);
        self.own.entry(id).or_insert(Admitted { principal, until_ms: None, token: Some(id) });
    }

    fn token_id(&self, token: &str) -> TokenId {
        self.digest(&[b"token", token.as_bytes()])
    }

    /// The same server with other named tokens than before. Whoever had one of those that are not among them is over: [`Self::is_over`].
    ///
    /// # Errors
    /// One of them is not to be told from the one that stays; its line.
    pub fn with_named(&self, tokens: Vec<NamedToken>) -> Result<Self, Problem> {
        let mut named = HashMap::with_capacity(tokens.len());
        for NamedToken { token, admitted, line } in tokens {
            let id = self.token_id(&token);
            if self.own.contains_key(&id) {
                return Err(Problem { line, expected: "TOKEN is the one of mcp.token_file".to_owned() });
            }
            named.insert(id, Admitted { token: Some(id), ..admitted });
        }
        Ok(Self {
            catalogue: Arc::clone(&self.catalogue),
            info: self.info.clone(),
            modern_lead: self.modern_lead.clone(),
            rate_limits: self.rate_limits,
            connections_max: self.connections_max,
            secret: self.secret,
            own: self.own.clone(),
            named,
            now_ms: AtomicU64::new(self.now_ms()),
        })
    }

    /// Says what time it is, ms since 1970.
    pub fn set_time(&self, unix_ms: u64) {
        // Relaxed: a number of its own; whoever reads the one before it is a turn late, no more.
        self.now_ms.store(unix_ms, Ordering::Relaxed);
    }

    /// What time it is, ms since 1970, to within a turn of whoever says so.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        // Relaxed: see the store.
        self.now_ms.load(Ordering::Relaxed)
    }

    /// Whether who was let in is not any more: the token has ended, is not known any more, or is somebody's who may do other things. Never
    /// of who showed none.
    #[must_use]
    pub fn is_over(&self, admitted: &Admitted) -> bool {
        let Some(id) = &admitted.token else { return false };
        let now = self.known(id).filter(|now| now.principal == admitted.principal);
        now.is_none_or(|now| self.has_ended(now))
    }

    fn known(&self, id: &TokenId) -> Option<&Admitted> {
        self.own.get(id).or_else(|| self.named.get(id))
    }

    fn has_ended(&self, admitted: &Admitted) -> bool {
        admitted.until_ms.is_some_and(|until_ms| until_ms <= self.now_ms())
    }

    /// Whose token this is. Digests under a secret are looked up, so the time it takes says nothing about a token.
    ///
    /// # Errors
    /// It is nobody's, or has ended.
    pub fn admit(&self, token: &str) -> Result<Admitted, RpcError> {
        let admitted = self.known(&self.token_id(token)).ok_or_else(wrong_token)?;
        if self.has_ended(admitted) { Err(expired_token()) } else { Ok(admitted.clone()) }
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
        hex(digest.get(..SESSION_ID_BYTES).unwrap_or(&digest)).into()
    }

    /// A cursor that only this principal can use, for this tool with these arguments, for [`MCP_CURSOR_LIFE_S`].
    #[must_use]
    pub fn sign(&self, principal: &str, scope: &str, position: u64) -> String {
        self.signed(principal, scope, position, self.now_ms() / 1_000)
    }

    /// `seconds` is when it is given out, since 1970.
    fn signed(&self, principal: &str, scope: &str, position: u64, seconds: u64) -> String {
        let (position, seconds) = (position.to_le_bytes(), seconds.to_le_bytes());
        let digest = self.digest(&[b"cursor", principal.as_bytes(), scope.as_bytes(), &position, &seconds]);
        let signature = digest.get(..SIGNATURE_BYTES).unwrap_or(&digest);
        hex(&[&position, &seconds, signature].concat())
    }

    /// The position of a cursor that was given out for this, and not too long ago; `None` for any other text.
    #[must_use]
    pub fn verify(&self, principal: &str, scope: &str, cursor: &str) -> Option<u64> {
        let number = |digits: Option<&str>| u64::from_str_radix(digits?, 16).ok().map(u64::swap_bytes);
        let (position, seconds) = (number(cursor.get(..16))?, number(cursor.get(16..32))?);
        let is_ours = self.signed(principal, scope, position, seconds) == cursor;
        let is_young = self.now_ms() / 1_000 <= seconds.saturating_add(MCP_CURSOR_LIFE_S);
        (is_ours && is_young).then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server::new("1", [7; 32], &["core"]).unwrap()
    }

    #[test]
    fn a_token_is_its_owners_until_it_ends() {
        let mut first = server();
        let all = Principal { name: "agent".into(), scopes: Scopes::ALL };
        first.add_token("the first", all.clone());
        let named = |token: &str, scopes: Scopes, until_ms: Option<u64>| {
            let principal = Principal { name: "ada".into(), scopes };
            NamedToken { token: token.to_owned(), admitted: Admitted { principal, until_ms, token: None }, line: 7 }
        };
        let taken = first.with_named(vec![named("the first", Scopes::READ, None)]).unwrap_err();
        assert_eq!(taken.to_string(), "line 7: TOKEN is the one of mcp.token_file");
        let server = first.with_named(vec![named("a token", Scopes::READ, Some(5_000))]).unwrap();
        server.set_time(4_999);
        let (ada, owner) = (server.admit("a token").unwrap(), server.admit("the first").unwrap());
        assert_eq!((&*ada.principal.name, ada.until_ms, &owner.principal), ("ada", Some(5_000), &all));
        assert!(server.admit("a Token").unwrap_err().message.contains("not known"));
        let is_over = |server: &Server| (server.is_over(&ada), server.is_over(&owner));
        assert_eq!(is_over(&server), (false, false));
        server.set_time(5_000);
        assert!(server.admit("a token").unwrap_err().message.contains("expired"));
        assert_eq!(is_over(&server), (true, false));
        // Another file: the time goes on, the first token stays, and a token is its owner's as long as he may do the same with it.
        let longer = server.with_named(vec![named("a token", Scopes::READ, Some(9_000))]).unwrap();
        assert_eq!((is_over(&longer), longer.now_ms()), ((false, false), 5_000));
        assert_eq!(is_over(&server.with_named(vec![named("a token", Scopes::ALL, None)]).unwrap()), (true, false));
        assert_eq!(is_over(&server.with_named(vec![named("another one", Scopes::READ, None)]).unwrap()), (true, false));
        assert_eq!(is_over(&server.with_named(Vec::new()).unwrap()), (true, false));
    }

    #[test]
    fn a_cursor_is_good_for_an_hour_for_whom_it_was_given_to() {
        let server = server();
        server.set_time(1_000_000);
        let cursor = server.sign("ada", "find_nodes", 25);
        assert_eq!(server.verify("ada", "find_nodes", &cursor), Some(25));
        assert_eq!(server.verify("bob", "find_nodes", &cursor), None);
        assert_eq!(server.verify("ada", "find_edges", &cursor), None);
        // Neither the place nor the time in it can be another.
        for at in [0, 16, 33] {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(server.verify("ada", "find_nodes", std::str::from_utf8(&changed).unwrap()), None, "{at}");
        }
        for wrong in ["", "0", "zz", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"] {
            assert_eq!(server.verify("ada", "find_nodes", wrong), None, "{wrong}");
        }
        server.set_time(1_000_000 + MCP_CURSOR_LIFE_S * 1_000);
        assert_eq!(server.verify("ada", "find_nodes", &cursor), Some(25));
        server.set_time(1_001_000 + MCP_CURSOR_LIFE_S * 1_000);
        assert_eq!(server.verify("ada", "find_nodes", &cursor), None);
    }
}
