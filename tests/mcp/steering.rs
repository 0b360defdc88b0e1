//! Goal: an agent steers the simulation by the same settings as everybody else, and is told what the simulation then has, not what it
//! asked for.
//! Method: calls over an in-memory engine for what is refused before anything is done; the real server, its REST and its stream for the rest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use swarmcast::mcp::Session;

use crate::engine::{Engine, me};
use crate::support::within;
use crate::talk::Home;

#[test]
fn what_is_no_setting_is_refused_by_name() {
    let mut engine = Engine::complete(3);
    let mut session = Session::new(Some(me()));
    for (arguments, words) in [
        (
            json!({ "layout": "ring" }),
            "one of force, force_directed, hierarchical, radial, spectral, clustered, stress",
        ),
        (json!({ "tick_hz": 0 }), "1 to 120"),
        (json!({ "params": { "damping": null } }), "params.damping"),
        (json!({ "params": { "damping": [1] } }), "params.damping"),
        (json!({ "params": {} }), "nothing to do"),
    ] {
        let said = engine.refused(&mut session, "set_simulation", arguments.clone());
        assert!(said.contains(words), "{arguments}: {said}");
    }
    assert!(engine.steered.is_empty());
    engine.done(
        &mut session,
        "set_simulation",
        json!({ "layout": "force", "params": { "spring": 3, "repulsion": true } }),
    );
    let settings: Vec<(&str, &Value)> = engine.steered[0].settings.iter().map(|(key, value)| (&**key, value)).collect();
    assert_eq!(settings, [("sim.repulsion", &json!(true)), ("sim.spring_k", &json!(3))]);
}

#[test]
fn settings_are_the_same_as_rest_has_and_are_read_back() {
    let home = Home::start("mcp-steering", &[]);
    let mut agent = home.agent();
    let rest = |path: &str| home.server.get(&format!("/api/settings/path?path={path}")).json()["value"].clone();
    let before = rest("sim.repel_k").as_f64().unwrap();
    let asked = json!({ "params": { "damping": 0.25, "repulsion": before * 2.0, "gravity": 0.5 }, "tick_hz": 30 });
    let done = agent.call("set_simulation", asked);
    let params = &done["params"];
    assert_eq!((params["damping"].as_f64(), params["repel_k"].as_f64()), (Some(0.25), Some(before * 2.0)), "{params}");
    assert_eq!((&params["centre_gravity"], &done["tick_hz"]), (&json!(0.5), &json!(30.0)));
    assert_eq!((rest("sim.damping"), rest("sim.rate_hz")), (json!(0.25), json!(30)));
    assert_eq!(rest("sim.repel_k").as_f64(), Some(before * 2.0));
    // What somebody else sets is what is read back, too.
    let set = home.server.tell("PUT", "/api/settings/path", r#"{"path":"sim.damping","value":0.75}"#);
    assert_eq!(set.status, 200, "{}", set.text());
    let done = agent.call("set_simulation", json!({ "reheat": true }));
    assert_eq!(done["params"]["damping"], json!(0.75));

    // All or nothing: a bad value beside a good one, and one that only a restart changes.
    for (params, words) in [
        (json!({ "damping": 0.1, "spring": -1 }), "sim.spring_k"),
        (json!({ "damping": 0.1, "springiness": 1 }), "sim.springiness"),
        (json!({ "damping": 0.1, "backend": "cpu" }), "sim.backend"),
        (json!({ "damping": "much" }), "sim.damping"),
    ] {
        let said = agent.refused("set_simulation", json!({ "params": params, "running": false }));
        assert!(said.contains(words) && said.contains("Nothing was changed"), "{params}: {said}");
    }
    let done = agent.call("set_simulation", json!({ "running": true }));
    assert_eq!((&done["params"]["damping"], &done["running"]), (&json!(0.75), &json!(true)));
}

#[test]
fn a_mode_is_in_force_when_it_is_answered_and_energy_is_measured() {
    let home = Home::start("mcp-modes", &[]);
    let mut agent = home.agent();
    for layout in ["radial", "hierarchical", "spectral", "clustered", "stress", "force"] {
        let mut done = Value::Null;
        // Stress needs the first positions.
        let began = within(std::time::Duration::from_secs(20), || {
            let result = agent.result("set_simulation", json!({ "layout": layout }));
            done = result["structuredContent"].clone();
            result["isError"] != json!(true)
        });
        assert!(began, "{layout}");
        let name = if layout == "force" { "force_directed" } else { layout };
        assert_eq!((&done["layout"], &done["finding_places"]), (&json!(name), &json!(false)), "{done}");
    }
    let moving = within(std::time::Duration::from_secs(20), || {
        let state = agent.call("set_simulation", json!({ "reheat": true }));
        state["energy"].as_f64().is_some_and(|energy| energy > 0.0)
    });
    assert!(moving);
    let settled = agent.call("step_simulation", json!({ "until": "converged", "timeout_ms": 30_000 }));
    let energy = settled["energy"].as_f64().unwrap();
    assert!(energy >= 0.0 && home.server.metric("swarmcast_kinetic_energy") >= 0.0, "{settled}");
}
