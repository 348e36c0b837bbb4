//! The directives that decide what is served. All others are passed over.

macro_rules! directives {
    ($($name:ident = $word:literal),+ $(,)?) => {
        /// A directive that is read.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Directive { $($name),+ }

        const WORDS: &[&[u8]] = &[$($word),+];

        /// Looks a lower-cased word up.
        fn find(word: &[u8]) -> Option<Directive> {
            Some(match word { $($word => Directive::$name,)+ _ => return None })
        }
    };
}

directives! {
    AcceptMutex = b"acceptmutex",
    Allow = b"allow",
    Define = b"define",
    Deny = b"deny",
    DocumentRoot = b"documentroot",
    ErrorDocument = b"errordocument",
    Include = b"include",
    IncludeOptional = b"includeoptional",
    Listen = b"listen",
    LoadModule = b"loadmodule",
    LockFile = b"lockfile",
    NameVirtualHost = b"namevirtualhost",
    ProxyPass = b"proxypass",
    ProxyPassMatch = b"proxypassmatch",
    Redirect = b"redirect",
    RedirectMatch = b"redirectmatch",
    RedirectPermanent = b"redirectpermanent",
    RedirectTemp = b"redirecttemp",
    Require = b"require",
    RewriteCond = b"rewritecond",
    RewriteEngine = b"rewriteengine",
    RewriteLock = b"rewritelock",
    RewriteRule = b"rewriterule",
    Satisfy = b"satisfy",
    ServerAlias = b"serveralias",
    ServerName = b"servername",
    ServerRoot = b"serverroot",
    SetHandler = b"sethandler",
    SslCertificateFile = b"sslcertificatefile",
    SslEngine = b"sslengine",
    SslMutex = b"sslmutex",
    UnDefine = b"undefine",
    UndefMacro = b"undefmacro",
    Use = b"use",
    VirtualDocumentRoot = b"virtualdocumentroot",
    VirtualDocumentRootIp = b"virtualdocumentrootip",
    VirtualScriptAlias = b"virtualscriptalias",
    VirtualScriptAliasIp = b"virtualscriptaliasip",
}

/// The longest of them.
const LONGEST: usize = 22;

/// For each first letter the lengths that occur, as bits: most lines of a
/// configuration end here.
const LENGTHS: [u32; 26] = {
    let mut table = [0; 26];
    let mut i = 0;
    while i < WORDS.len() {
        table[(WORDS[i][0] - b'a') as usize] |= 1 << WORDS[i].len();
        i += 1;
    }
    table
};

/// The directive that a word names, whatever its case.
pub(super) fn directive(word: &[u8]) -> Option<Directive> {
    let letter = word.first()?.to_ascii_lowercase().wrapping_sub(b'a');
    if word.len() > LONGEST || LENGTHS.get(usize::from(letter))? & (1 << word.len()) == 0 {
        return None;
    }
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    find(lower)
}

/// What a section does to the directives inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    VirtualHost,
    IfDefine,
    IfModule,
    IfVersion,
    IfFile,
    IfDirective,
    IfSection,
    Macro,
    /// `<Location>`, with a path.
    Location,
    /// `<LocationMatch>`, with a pattern.
    LocationMatch,
    /// `<If>`, `<ElseIf>`, `<Else>`: decided request by request.
    Expression,
    /// `<RequireAll>` and its like.
    Require,
    /// Perl code up to its end.
    Perl,
    /// `<Directory>`, `<Files>`, `<Proxy>` and whatever else.
    Other,
}

/// The section that a word behind `<` opens.
pub(super) fn opener(word: &[u8]) -> Opener {
    let mut lower = [0; 16];
    let Some(lower) = lower.get_mut(..word.len()) else { return Opener::Other };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    match &*lower {
        b"virtualhost" => Opener::VirtualHost,
        b"ifdefine" => Opener::IfDefine,
        b"ifmodule" => Opener::IfModule,
        b"ifversion" => Opener::IfVersion,
        b"iffile" => Opener::IfFile,
        b"ifdirective" => Opener::IfDirective,
        b"ifsection" => Opener::IfSection,
        b"macro" => Opener::Macro,
        b"location" => Opener::Location,
        b"locationmatch" => Opener::LocationMatch,
        b"if" | b"elseif" | b"else" => Opener::Expression,
        b"requireall" | b"requireany" | b"requirenone" => Opener::Require,
        b"perl" => Opener::Perl,
        _ => Opener::Other,
    }
}

/// Whether `<IfDirective>` may take a directive as known: those that are read
/// here, but for those that 2.4 dropped.
pub(super) fn is_known(word: &[u8]) -> bool {
    use Directive::{AcceptMutex, LockFile, RewriteLock, SslMutex};
    directive(word).is_some_and(|d| !matches!(d, AcceptMutex | LockFile | RewriteLock | SslMutex))
}
