//! Importers: files of other tools to a [`super::Graph`].
