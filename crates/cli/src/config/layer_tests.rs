use super::*;

fn read(flags: &[(&str, &str)], env: &[(&str, &str)], file: Option<&str>) -> Result<Layers, Invalid> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let flags = flags.iter().map(|(name, text)| (Setting::named(name), (*text).to_owned())).collect();
    Layers::read(&Surroundings { flags, file: file.map(|_| path), env: &env })
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let env = ("TIDINGS_LISTEN", "127.0.0.1:2");
    let flag = ("listen", "127.0.0.1:3");
    let file = Some("listen = '127.0.0.1:1'");
    let listen = |layers: Layers| (layers.get("listen").text.clone(), layers.get("listen").origin.to_string());

    assert_eq!(listen(read(&[], &[], Some("")).unwrap()), ("127.0.0.1:7411".into(), "default".into()));
    let (text, origin) = listen(read(&[], &[], file).unwrap());
    assert_eq!(text, "127.0.0.1:1");
    assert!(origin.ends_with("some.toml"), "{origin}");
    assert_eq!(listen(read(&[], &[env], file).unwrap()), ("127.0.0.1:2".into(), "TIDINGS_LISTEN".into()));
    assert_eq!(listen(read(&[flag], &[env], file).unwrap()), ("127.0.0.1:3".into(), "--listen".into()));
}

#[test]
fn an_unknown_key_of_the_file_is_refused_with_the_nearest_known_name() {
    let cases = [
        ("lisetn = 'a:1'", "'lisetn' is not a setting; did you mean 'listen'?"),
        ("[sqlite]\nsynchronus = 'full'", "'sqlite.synchronus' is not a setting; did you mean 'sqlite.synchronous'?"),
        ("quite_unlike_anything = 1", "'quite_unlike_anything' is not a setting"),
        ("[[source]]\nname = 'shop'\nulr = 'x'", "'ulr' is not known; did you mean 'url'?"),
        ("[[sources]]\nname = 'shop'", "sources stand in [[source]] tables"),
    ];
    for (file, expected) in cases {
        let Invalid(problems) = read(&[], &[], Some(file)).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:?}");
    }
}

#[test]
fn all_problems_are_reported_at_once_and_never_with_a_secret() {
    let env = [("TIDINGS_ADMIN_KEY", "short-geheim"), ("TIDINGS_LISTEN", "nowhere")];
    let Invalid(problems) = read(&[], &env, Some("shutdown_s = 0\nbogus = 1")).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(!problems.concat().contains("geheim"));
}

#[test]
fn sources_come_as_tables_or_from_the_environment_which_wins() {
    let file =
        Some("[[source]]\nname = 'shop'\nurl = 'postgres://u:geheim@h/shop'\n[[source]]\nname='crm'\nurl='crm.db'");
    let layers = read(&[], &[], file).unwrap();
    let value = layers.get("sources");
    assert_eq!(value.shown(), "shop=postgres://u:****@h/shop,crm=crm.db");
    let owned = Some("[[source]]\nname = 'shop'\nurl = 's.db'\nservice = 'shop'");
    let service = |file| read(&[], &[], file).unwrap().get("sources").sources[0].service.clone();
    assert_eq!(service(owned).map(|service| service.to_string()), Some("shop".to_owned()));
    assert_eq!(service(file), None);
    let layers = read(&[], &[("TIDINGS_SOURCES", "other=o.db")], file).unwrap();
    assert_eq!(layers.get("sources").shown(), "other=o.db");
}

#[test]
fn secrets_are_masked() {
    let key = "0123456789012345678901234567890123456789";
    let layers = read(&[], &[("TIDINGS_ADMIN_KEY", key), ("TIDINGS_KEY", key)], None).unwrap();
    assert!(layers.all().iter().all(|value| !value.shown().contains(key)));
    assert_eq!(layers.get("admin_key").shown(), "****");
    assert_eq!(layers.text("admin_key"), Some(key));
}

#[test]
fn a_variable_with_a_slip_is_pointed_out_and_a_foreign_one_is_not() {
    let layers = read(&[], &[("TIDINGS_LISTENS", "x"), ("TIDINGS_FAVOURITE_COLOUR", "blue")], None).unwrap();
    assert_eq!(
        layers.warnings(),
        ["the environment variable TIDINGS_LISTENS is not a setting; did you mean TIDINGS_LISTEN?"]
    );
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let env = BTreeMap::new();
    let around = Surroundings { flags: Vec::new(), file: Some("/nowhere/tidings.toml".into()), env: &env };
    assert!(Layers::read(&around).unwrap_err().0[0].contains("cannot be read"));
}
