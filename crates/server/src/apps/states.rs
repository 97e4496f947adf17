//! What is known of the apps while the server runs, found by id and by name: each change of one app looks for it by its name.

use super::AppState;
use domain::{AppId, AppName};
use std::collections::{BTreeSet, HashMap};

/// All of it.
#[derive(Default)]
pub(super) struct States {
    by_id: HashMap<AppId, AppState>,
    /// Several have one name while something of a deleted app still runs.
    by_name: HashMap<AppName, BTreeSet<AppId>>,
}

impl States {
    pub(super) fn get(&self, app: &AppId) -> Option<&AppState> {
        self.by_id.get(app)
    }

    pub(super) fn get_mut(&mut self, app: &AppId) -> Option<&mut AppState> {
        self.by_id.get_mut(app)
    }

    /// The app's, which is made if there is none.
    pub(super) fn entry(&mut self, app: AppId, name: &AppName) -> &mut AppState {
        self.by_id.entry(app).or_insert_with(|| {
            self.by_name.entry(name.clone()).or_default().insert(app);
            AppState::new(name.clone())
        })
    }

    /// Nothing is known of the app any more.
    pub(super) fn remove(&mut self, app: &AppId) -> Option<AppState> {
        let state = self.by_id.remove(app)?;
        if let Some(named) = self.by_name.get_mut(&state.name) {
            named.remove(app);
            if named.is_empty() {
                self.by_name.remove(&state.name);
            }
        }
        Some(state)
    }

    /// The apps of this name.
    pub(super) fn named(&self, name: &AppName) -> impl Iterator<Item = AppId> {
        self.by_name.get(name).into_iter().flatten().copied()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = AppId> {
        self.by_id.keys().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (AppId, &AppState)> {
        self.by_id.iter().map(|(app, state)| (*app, state))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &AppState> {
        self.by_id.values()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut AppState> {
        self.by_id.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypt::SystemEntropy;

    #[test]
    fn an_app_is_found_by_its_name_for_as_long_as_it_is_there() {
        let mut states = States::default();
        let (web, api): (AppName, AppName) = ("web".parse().unwrap(), "api".parse().unwrap());
        let [old, new, other] = [(); 3].map(|()| AppId::random(&SystemEntropy));
        let named = |states: &States, name: &AppName| states.named(name).collect::<BTreeSet<_>>();
        states.entry(old, &web).revision = 7;
        states.entry(other, &api);
        assert_eq!(states.entry(old, &web).revision, 7, "it is there");
        assert_eq!(named(&states, &web), BTreeSet::from([old]));
        states.entry(new, &web);
        assert_eq!(named(&states, &web), BTreeSet::from([old, new]), "the deleted one still runs");
        assert_eq!(states.remove(&old).map(|state| state.revision), Some(7));
        assert_eq!(named(&states, &web), BTreeSet::from([new]));
        assert!(states.remove(&old).is_none() && states.remove(&new).is_some());
        assert!(named(&states, &web).is_empty() && states.by_name.len() == 1);
        assert_eq!(states.ids().collect::<Vec<_>>(), [other]);
    }
}
