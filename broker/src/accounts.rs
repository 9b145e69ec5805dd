//! Who a client is: by a password or by a certificate.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use rumqttd::protocol::Login;
use tokio::sync::Semaphore;

use crate::front::{Grant, Grants, Identity, Refusal};
use crate::user::StoredHash;
use crate::{BrokerError, Config, User};

/// The users; without any, everybody is let in as nobody in particular.
#[derive(Debug)]
pub(crate) struct Accounts {
    users: HashMap<Arc<str>, Account>,
    /// What is compared with for a user that is not there, so that the time does not tell.
    decoy: Option<Arc<StoredHash>>,
    /// Passwords that take long to check, and much memory, are checked so many at a time.
    checks: Semaphore,
}

#[derive(Debug)]
struct Account {
    identity: Arc<Identity>,
    hash: Option<Arc<StoredHash>>,
    certificate: bool,
}

impl Accounts {
    /// Takes the users of a configuration.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] for one that could never log in, or whose client ids are also another one's.
    pub(crate) fn new(config: &Config) -> Result<Self, BrokerError> {
        let mut grants = Grants::new();
        for (name, role) in config.roles_in_force() {
            let grant = Grant::new(&role, config.deployment.as_deref())
                .map_err(|pattern| BrokerError::Pattern { role: name.clone(), pattern })?;
            grants.insert(name, Arc::new(grant));
        }
        let certificates = config.tls.as_ref().is_some_and(|tls| tls.client_authority.is_some());
        let mut users = HashMap::new();
        let mut ids: HashMap<String, Arc<str>> = HashMap::new();
        for user in &config.users {
            let refused = |problem: String| BrokerError::User { user: user.name.clone(), problem };
            let (name, account) = account(user, &grants, certificates).map_err(refused)?;
            for id in account.identity.role().ids(&user.name).collect::<std::collections::BTreeSet<_>>() {
                if let Some(other) = ids.insert(id.clone(), Arc::clone(&name)) {
                    return Err(refused(format!(
                        "and user `{other}` could both be client `{id}`: rename one"
                    )));
                }
            }
            if users.insert(name, account).is_some() {
                return Err(refused("is named twice".to_owned()));
            }
        }
        let decoy = users.values().filter_map(|account| account.hash.clone()).find(|hash| hash.cheap);
        let decoy = decoy.or_else(|| users.values().find_map(|account| account.hash.clone()));
        let cores = thread::available_parallelism().map_or(1, Into::into);
        Ok(Self { users, decoy, checks: Semaphore::new(cores) })
    }

    /// Who it is that has shown a certificate of the authority with this name, or gives this login; `None` when anybody
    /// is let in.
    ///
    /// # Errors
    ///
    /// [`Refusal::Credentials`], which does not tell which of them was wrong.
    pub(crate) async fn identify(
        &self,
        certificate: Option<&str>,
        login: Option<&Login>,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        if self.users.is_empty() {
            return Ok(None);
        }
        if let Some(name) = certificate {
            let named = login.is_none_or(|login| login.username == name);
            let account = self.users.get(name).filter(|account| named && account.certificate);
            return account.map(|account| Some(Arc::clone(&account.identity))).ok_or(Refusal::Credentials);
        }
        let login = login.ok_or(Refusal::Credentials)?;
        let account = self.users.get(&*login.username);
        let hash = account.and_then(|account| account.hash.as_ref());
        let Some(compared) = hash.or(self.decoy.as_ref()) else {
            return Err(Refusal::Credentials);
        };
        let right = self.check(Arc::clone(compared), &login.password).await;
        match account {
            Some(account) if right && hash.is_some() => Ok(Some(Arc::clone(&account.identity))),
            _ => Err(Refusal::Credentials),
        }
    }

    async fn check(&self, hash: Arc<StoredHash>, password: &str) -> bool {
        if hash.cheap {
            return hash.accepts(password.as_bytes());
        }
        let Ok(_turn) = self.checks.acquire().await else {
            return false;
        };
        let password = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || hash.accepts(password.as_bytes()));
        checked.await.unwrap_or(false)
    }
}

fn account(user: &User, grants: &Grants, certificates: bool) -> Result<(Arc<str>, Account), String> {
    if !user.has_fit_name() {
        return Err("has a name that is not 1 to 64 of a-z, A-Z, 0-9, -, _ and .".to_owned());
    }
    let Some(role) = grants.get(&user.role) else {
        let mut known: Vec<&str> = grants.keys().map(String::as_str).collect();
        known.sort_unstable();
        return Err(format!("has the role `{}`; there are {}", user.role, known.join(", ")));
    };
    let hash = match &user.password_hash {
        Some(text) => Some(Arc::new(StoredHash::parse(text).ok_or(
            "has a password_hash that is none of argon2, or would take too long; type `broker --hash-password`",
        )?)),
        None => None,
    };
    if hash.is_none() && !user.certificate {
        return Err("has neither password_hash nor `certificate = true`: it could never log in".to_owned());
    }
    if user.certificate && !certificates {
        return Err("is to log in by certificate; name the authority in [tls] client_authority".to_owned());
    }
    let name: Arc<str> = user.name.as_str().into();
    let identity = Arc::new(Identity::new(Arc::clone(&name), Arc::clone(role)));
    Ok((name, Account { identity, hash, certificate: user.certificate }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(users: Vec<User>) -> Result<Accounts, String> {
        let config = Config { users, ..Config::default() };
        Accounts::new(&config).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn whoever_knows_its_password_is_who_it_says() {
        let users = vec![
            User::with_random_password("m1", "meter", "right"),
            User {
                password_hash: Some(User::hash_password("chosen")),
                ..User::with_random_password("eve", "observer", "")
            },
        ];
        let accounts = accounts(users).unwrap();
        for (user, password, good) in [
            ("m1", "right", true),
            ("eve", "chosen", true),
            ("m1", "chosen", false),
            ("m1", "", false),
            ("nobody", "right", false),
            ("", "", false),
        ] {
            let login = Login { username: user.into(), password: password.into() };
            let identity = accounts.identify(None, Some(&login)).await;
            match identity {
                Ok(Some(identity)) => assert!(good && &*identity.user == user),
                _ => assert!(!good, "{user} {password}"),
            }
        }
        assert!(accounts.identify(None, None).await.is_err());
        assert!(accounts.identify(Some("m1"), None).await.is_err(), "it logs in by password");
        let nobody = Accounts::new(&Config::default()).unwrap();
        assert!(nobody.identify(None, None).await.unwrap().is_none());
    }

    #[test]
    fn a_user_that_cannot_be_is_answered_with_what_to_do() {
        let user = |name: &str, role: &str| User::with_random_password(name, role, "p");
        for (users, words) in [
            (vec![user("a/b", "meter")], "not 1 to 64 of"),
            (vec![user("a", "metre")], "there are aggregator, meter, observer, registrar, sink"),
            (vec![User::with_certificate("a", "meter")], "client_authority"),
            (vec![user("a", "meter"), user("a", "sink")], "rename one"),
            (vec![user("a", "meter"), user("meter-a", "observer")], "could both be client `meter-a`"),
            (vec![User { password_hash: None, ..user("a", "meter") }], "could never log in"),
            (vec![User { password_hash: Some("secret".into()), ..user("a", "meter") }], "--hash-password"),
        ] {
            let error = accounts(users).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }
}
