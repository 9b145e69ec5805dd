//! The broker's next certificate, of the deployment's own authority.

use anyhow::Context as _;

use super::Rotated;
use crate::deployment::Authority;
use crate::deployment::files::new_directory;
use crate::directory::Directory;

/// Signs a new key of the broker, in a directory of its own: whoever runs the broker puts both files in the place of the
/// old ones.
pub(super) fn certify(directory: &Directory) -> anyhow::Result<Rotated> {
    let root = directory.path.display();
    let home = directory.path.join("authority");
    anyhow::ensure!(
        home.join("ca.key").is_file(),
        "{} has no ca.key: the deployment was made without TLS, or that directory is kept elsewhere; bring it back, or have your own \
         authority sign a certificate for the broker's names",
        home.display()
    );
    let authority = Authority::read(&home, directory.roster.document().deployment.as_ref())?;
    let names: Vec<String> = directory
        .config
        .broker
        .address
        .split(',')
        .filter_map(|address| Some(address.trim().rsplit_once(':')?.0.trim_matches(['[', ']']).to_owned()))
        .collect();
    let new = (2_u32..).map(|number| directory.path.join(format!("broker-{number}")));
    let new = new.into_iter().find(|path| !path.exists()).context("there are too many of them")?;
    authority.certify_broker(&new_directory(&new)?, &names)?;
    let new = new.display();
    Ok(Rotated {
        line: None,
        next: format!(
            "The broker's new certificate, for {}, and its key are in {new}. Put broker.pem and broker.key in the place of the old ones, in \
             the directory of the broker's broker.toml, and have the broker read them (systemctl reload wattveil-broker, or kill -HUP); then remove \
             {new}. Whoever took the word of {root}/authority takes it for the new one, too.\n",
            names.join(", "),
        ),
    })
}
