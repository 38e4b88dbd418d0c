//! The settings of the site that reach boot files.

use super::BootError;
use super::check::require;
use crate::tables::Site;
use crate::tables::schema::NODERES;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Root of boot files on this host.
    pub tftpdir: String,
    /// Port of the server that answers nodes.
    pub xcatdport: String,
    /// Port of HTTP.
    pub httpport: String,
    /// http or https.
    pub httpmethod: String,
    /// Whether nodes report their state while booting.
    pub nodestatus: bool,
    /// 1 or 2 makes nodes and loaders talk.
    pub debugmode: Option<String>,
    /// `FC=` of SLES.
    pub flowcontrol: String,
    /// How nodes are to run their image, when the site says so: fuse or links.
    pub mode: Option<String>,
}

impl Settings {
    /// The settings for a node: its own tftpdir counts before the site's.
    ///
    /// # Errors
    /// [`BootError::Value`].
    pub fn new(site: &Site, node: &str) -> Result<Self, BootError> {
        let setting = |key: &str, default: &str| site.setting(key).unwrap_or(default).to_owned();
        let own = site.node_value(node, &NODERES, "tftpdir");
        require("noderes.tftpdir", own.as_deref().unwrap_or_default())?;
        let tftpdir = own.unwrap_or_else(|| setting("tftpdir", "/tftpboot"));
        require("site.tftpdir", &tftpdir)?;
        let settings = Self {
            tftpdir: tftpdir.trim_end_matches('/').to_owned(),
            xcatdport: setting("xcatdport", "3001"),
            httpport: setting("httpport", "80"),
            httpmethod: setting("httpmethod", "http"),
            nodestatus: !matches!(site.setting("nodestatus"), Some("n" | "N" | "0")),
            debugmode: site
                .setting("xcatdebugmode")
                .filter(|mode| matches!(*mode, "1" | "2"))
                .map(str::to_owned),
            flowcontrol: setting("useflowcontrol", "0"),
            mode: site.setting("statelitemode").map(str::to_owned),
        };
        require("site.xcatdport", &settings.xcatdport)?;
        require("site.httpport", &settings.httpport)?;
        require("site.httpmethod", &settings.httpmethod)?;
        require("site.useflowcontrol", &settings.flowcontrol)?;
        require(
            "site.statelitemode",
            settings.mode.as_deref().unwrap_or_default(),
        )?;
        Ok(settings)
    }

    /// `:PORT` unless it is 80.
    #[must_use]
    pub fn port_suffix(&self) -> String {
        match self.httpport.as_str() {
            "80" => String::new(),
            port => format!(":{port}"),
        }
    }
}
