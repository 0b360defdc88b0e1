//! Pages that the door answers by itself. Pure.

use bytes::Bytes;

use super::http::Response;
use super::routes::OwnPage;
use crate::base::clock::MILLISECOND_NS;
use crate::metrics::Phase;

/// The simulation is called stuck when its thread has not ended a turn for this long.
const SIM_SILENCE_NS_MAX: u64 = 10_000 * MILLISECOND_NS;

/// The pages that never change.
#[derive(Debug, Clone, Copy)]
pub struct FixedPages {
    /// The viewer, HTML.
    pub viewer: &'static [u8],
    /// The interface, OpenAPI.
    pub openapi: &'static str,
}

/// The answer to `page` while the process is in `phase` and the simulation ended its last turn `sim_age_ns` ago. With `store_failed` the
/// graph can be watched and not changed, which is no reason to send nobody here.
pub fn own_page(page: OwnPage, fixed: FixedPages, phase: Phase, sim_age_ns: u64, store_failed: bool) -> Response {
    let sim_alive = phase == Phase::Starting || sim_age_ns < SIM_SILENCE_NS_MAX;
    match page {
        OwnPage::Viewer => {
            // One self-contained file: its scripts are inline, its worker is a blob, it talks to this host only. It decodes
            // with WebAssembly.
            let policy = "default-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob: data:; \
                          connect-src 'self' ws: wss:; object-src 'none'";
            Response::new(200, "text/html; charset=utf-8", Bytes::from_static(fixed.viewer))
                .with("Content-Security-Policy", policy)
        }
        OwnPage::OpenApi => Response::new(200, "application/json", fixed.openapi),
        OwnPage::Root => {
            let health = if phase == Phase::Ready && sim_alive { "ok" } else { phase.name() };
            let body = serde_json::json!({
                "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION"), "health": health,
            });
            Response::new(200, "application/json", body.to_string())
        }
        OwnPage::Healthz => Response::new(200, "application/json", r#"{"status":"ok"}"#),
        OwnPage::Readyz => {
            let ready = phase == Phase::Ready && sim_alive;
            let body = serde_json::json!({
                "ready": ready,
                "phase": phase.name(),
                "parts": {
                    "sim": { "alive": sim_alive, "last_turn_ms": sim_age_ns / MILLISECOND_NS },
                    "store": { "writable": !store_failed },
                },
            });
            Response::new(if ready { 200 } else { 503 }, "application/json", body.to_string())
        }
    }
}
