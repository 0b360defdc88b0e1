//! From the paths that users have to the table's keys: dotted, in snake_case or camelCase, and the older tree of
//! `visualisation.graphs.*.physics`.

use super::nearest;
use super::table::{KEYS, find};

/// Longest path that is looked at, bytes.
pub const PATH_BYTES_MAX: usize = 256;

/// What stands before a parameter of the simulation in the older tree. There is one simulation for all graphs of a space, so
/// each of these names the same parameters.
const PHYSICS_OF: [&str; 3] = ["knowledge", "agents", "logseq"];

/// Names in the older tree whose keys are called otherwise.
const PHYSICS_NAMES: [(&str, &str); 9] = [
    ("dt", "time_step"),
    ("bounds_size", "bounds"),
    ("center_gravity", "centre_gravity"),
    ("center_gravity_k", "centre_gravity"),
    ("cooling_rate", "cooling"),
    ("repulsion_softening_epsilon", "softening"),
    ("spring_strength", "spring_k"),
    ("repulsion_strength", "repel_k"),
    ("centering", "centring"),
];

/// Names in the older tree that are no key, and where what they mean is set.
const PHYSICS_ELSEWHERE: [(&str, &str); 6] = [
    ("graph_separation_x", "/api/simulation/two-graphs"),
    ("sssp_alpha", "/api/simulation/springs"),
    ("lin_log_mode", "the key sim.force_model, lin_log"),
    ("enabled", "/api/simulation/pause and /api/simulation/resume"),
    ("mass_scale", "nowhere: the mass of a node follows from its edges"),
    ("iterations", "nowhere: the simulation steps as long as something moves"),
];

/// Keys of `sim` that are no parameter of its forces.
const NOT_PHYSICS: [&str; 3] = ["rate_hz", "backend", "device_errors_max"];

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The key at this place of the table.
    Key(usize),
    /// All keys of a section.
    Section(&'static str),
    /// The parameters of the forces, a part of `sim`.
    Physics,
}

impl Place {
    /// Places in the table of all keys that it names, in order.
    pub fn keys(self) -> impl Iterator<Item = usize> {
        KEYS.iter().enumerate().filter(move |(index, key)| self.has(*index, key)).map(|(index, _)| index)
    }

    fn has(self, index: usize, key: &super::Key) -> bool {
        match self {
            Self::Key(wanted) => wanted == index,
            Self::Section(section) => key.section() == section,
            Self::Physics => is_physics(key),
        }
    }
}

fn is_physics(key: &super::Key) -> bool {
    key.section() == "sim" && !NOT_PHYSICS.contains(&key.leaf())
}

/// Why a path names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is longer than any path.
    #[error("is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// Nothing is called so.
    #[error("is no setting{}; GET /api/settings/schema lists them all", near(.nearest))]
    Unknown {
        /// The key most like it.
        nearest: Option<&'static str>,
    },
    /// It is known from elsewhere, and is no setting here.
    #[error("is no setting: it is set at {0}")]
    Elsewhere(&'static str),
}

fn near(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(", did you mean {name}?")).unwrap_or_default()
}

/// What `path` names. Segments may be in camelCase.
///
/// # Errors
/// [`PathError`]; nothing is taken for something else.
pub fn resolve(path: &str) -> Result<Place, PathError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    let segments: Vec<String> = path.split('.').map(snake).collect();
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let unknown = |typed: &str| {
        let nearest = nearest::key(typed, KEYS.iter().map(|key| key.name));
        PathError::Unknown { nearest }
    };
    match names.as_slice() {
        ["visualisation" | "visualization", "graphs", graph, "physics", rest @ ..] if PHYSICS_OF.contains(graph) => {
            match rest {
                [] => Ok(Place::Physics),
                [name] => {
                    physics(name).ok_or_else(|| elsewhere(name).unwrap_or_else(|| unknown(&format!("sim.{name}"))))
                }
                _ => Err(unknown(path)),
            }
        }
        [section] => match super::SECTIONS.iter().find(|(name, _)| name == section) {
            Some((name, _)) => Ok(Place::Section(name)),
            None => Err(unknown(section)),
        },
        _ => {
            let name = names.join(".");
            find(&name).map(|(index, _)| Place::Key(index)).ok_or_else(|| unknown(&name))
        }
    }
}

fn physics(name: &str) -> Option<Place> {
    let leaf = PHYSICS_NAMES.iter().find(|(known, _)| *known == name).map_or(name, |(_, leaf)| leaf);
    find(&format!("sim.{leaf}")).filter(|(_, key)| is_physics(key)).map(|(index, _)| Place::Key(index))
}

fn elsewhere(name: &str) -> Option<PathError> {
    PHYSICS_ELSEWHERE.iter().find(|(known, _)| *known == name).map(|(_, place)| PathError::Elsewhere(place))
}

/// `spring_k` of `springK`; what is in snake_case stays.
fn snake(segment: &str) -> String {
    let mut snake = String::with_capacity(segment.len() + 4);
    for letter in segment.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> &'static str {
        match resolve(path) {
            Ok(Place::Key(index)) => KEYS[index].name,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn every_key_is_found_by_its_name_in_both_cases() {
        for key in KEYS {
            assert_eq!(name(key.name), key.name);
            let mut camel = String::new();
            let mut up = false;
            for letter in key.name.chars() {
                match letter {
                    '_' => up = true,
                    letter if up => {
                        camel.push(letter.to_ascii_uppercase());
                        up = false;
                    }
                    letter => camel.push(letter),
                }
            }
            assert_eq!(name(&camel), key.name, "{camel}");
        }
    }

    #[test]
    fn the_older_tree_leads_to_the_same_parameters() {
        for graph in PHYSICS_OF {
            let path = |leaf: &str| format!("visualisation.graphs.{graph}.physics.{leaf}");
            assert_eq!(name(&path("springK")), "sim.spring_k");
            assert_eq!(name(&path("spring_k")), "sim.spring_k");
            assert_eq!(name(&path("dt")), "sim.time_step");
            assert_eq!(name(&path("repulsionSofteningEpsilon")), "sim.softening");
            assert_eq!(name(&path("centerGravityK")), "sim.centre_gravity");
            assert_eq!(name(&path("boundsSize")), "sim.bounds");
        }
        assert_eq!(resolve("visualization.graphs.knowledge.physics"), Ok(Place::Physics));
        assert!(Place::Physics.keys().all(|index| KEYS[index].is_live()) && Place::Physics.keys().count() > 20);
        for (known, leaf) in PHYSICS_NAMES {
            assert!(physics(known).is_some() && find(&format!("sim.{leaf}")).is_some(), "{known}");
            assert!(find(&format!("sim.{known}")).is_none(), "{known} is a key already");
        }
        for (known, _) in PHYSICS_ELSEWHERE {
            assert_eq!(physics(known), None, "{known}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused_with_what_it_may_have_been() {
        assert_eq!(resolve("sim"), Ok(Place::Section("sim")));
        assert_eq!(resolve("sim.dampin"), Err(PathError::Unknown { nearest: Some("sim.damping") }));
        let path = "visualisation.graphs.knowledge.physics.graphSeparationX";
        assert_eq!(resolve(path), Err(PathError::Elsewhere("/api/simulation/two-graphs")));
        for nothing in [
            "",
            ".",
            "sim.",
            "sim.damping.x",
            "visualisation.graphs",
            "visualisation.graphs.other.physics.dt",
            "visualisation.graphs.knowledge.physics.rateHz",
            "visualisation.graphs.knowledge.physics.dt.x",
            "glow",
        ] {
            assert!(matches!(resolve(nothing), Err(PathError::Unknown { .. })), "{nothing}");
        }
        assert_eq!(resolve(&"x.".repeat(200)), Err(PathError::TooLong));
    }
}
