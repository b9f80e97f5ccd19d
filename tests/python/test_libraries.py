"""Programs that know nothing of miniray, on miniray: scikit-learn through joblib, dask through a scheduler function."""

import os

import pytest

import miniray


@pytest.fixture(scope="module", autouse=True)
def session():
    miniray.init(num_cpus=2)
    yield
    miniray.shutdown()


@pytest.fixture(autouse=True)
def nothing_left():
    """One session for the module; the check of conftest runs in all others."""
    yield


# ---- joblib --------------------------------------------------------------------------------------------------------

@pytest.fixture
def joblib():
    joblib = pytest.importorskip("joblib")
    from miniray.util.joblib import register_miniray

    register_miniray()
    return joblib


def test_joblib_calls(joblib):
    with joblib.parallel_config("miniray", n_jobs=2):
        assert joblib.effective_n_jobs() == 2
        out = joblib.Parallel()(joblib.delayed(lambda x: (x * x, os.getpid()))(x) for x in range(200))
    assert [x for x, _ in out] == [x * x for x in range(200)]
    assert os.getpid() not in {pid for _, pid in out}
    with joblib.parallel_config("miniray", n_jobs=-1):
        assert joblib.effective_n_jobs() == 2
        assert list(joblib.Parallel(return_as="generator")(joblib.delayed(abs)(-x) for x in range(5))) == [0, 1, 2, 3, 4]
        assert joblib.Parallel(batch_size=7)(joblib.delayed(abs)(-x) for x in range(20)) == list(range(20))
    with joblib.parallel_config("miniray", n_jobs=1):
        assert joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(2)) == [os.getpid()] * 2


def test_joblib_ends_at_the_first_error(joblib, tmp_path):
    def work(i):
        if i == 3:
            raise LookupError("the third")
        (tmp_path / str(i)).touch()
        return i

    with joblib.parallel_config("miniray", n_jobs=2):
        with pytest.raises(LookupError, match="the third"):
            joblib.Parallel(batch_size=1)(joblib.delayed(work)(i) for i in range(5000))
        assert len(list(tmp_path.iterdir())) < 4999
        assert joblib.Parallel()(joblib.delayed(abs)(-x) for x in range(5)) == [0, 1, 2, 3, 4]


def test_joblib_in_joblib(joblib):
    def outer(n):
        import joblib

        return os.getpid(), joblib.Parallel(n_jobs=2)(joblib.delayed(lambda x: (x + n, os.getpid()))(x) for x in range(4))

    with joblib.parallel_config("miniray", n_jobs=2):
        out = joblib.Parallel()(joblib.delayed(outer)(n) for n in range(4))
    assert [[value for value, _ in inner] for _, inner in out] == [[n, n + 1, n + 2, n + 3] for n in range(4)]
    assert all(pid != mine for mine, inner in out for _, pid in inner)


def test_scikit_learn(joblib):
    pytest.importorskip("sklearn")
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    X, y = make_classification(n_samples=200, n_features=8, random_state=0)
    grid = {"C": [0.1, 1.0, 10.0], "kernel": ["linear", "rbf"]}
    tree = DecisionTreeClassifier(random_state=0)
    serial = GridSearchCV(SVC(random_state=0), grid, cv=3).fit(X, y)
    scores = cross_val_score(tree, X, y, cv=5)
    with joblib.parallel_config("miniray", n_jobs=-1):
        parallel = GridSearchCV(SVC(random_state=0), grid, cv=3).fit(X, y)
        assert (cross_val_score(tree, X, y, cv=5) == scores).all()
    assert parallel.best_params_ == serial.best_params_ and parallel.best_score_ == serial.best_score_
    for name in serial.cv_results_:
        if "time" not in name:
            assert list(parallel.cv_results_[name]) == list(serial.cv_results_[name]), name
    assert (parallel.predict(X) == serial.predict(X)).all()


# ---- dask ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def dask():
    return pytest.importorskip("dask")


def test_a_graph(dask):
    from miniray.util.dask import miniray_dask_get

    graph = {"a": 1, "b": (lambda x: x + 1, "a"), "c": (sum, ["a", "b", (abs, -10)]), "d": "c", "unused": (lambda: 1 / 0,),
             "two": miniray.put(2), ("e", 0): (lambda x, y: x * y, "d", "two")}
    assert miniray_dask_get(graph, "c") == 13
    assert miniray_dask_get(graph, ["d", ["b", "a"], [("e", 0)]]) == (13, (2, 1), (26,))
    refs = miniray_dask_get(graph, ["b", "c"], ray_persist=True)
    assert miniray.get(list(refs)) == [2, 13]
    with pytest.raises(ZeroDivisionError):
        miniray_dask_get(graph, ["c", "unused"])
    with pytest.raises(KeyError):
        miniray_dask_get(graph, "nowhere")


def test_an_array(dask):
    array = pytest.importorskip("dask.array")
    from miniray.util.dask import miniray_dask_get

    x = array.random.RandomState(1).normal(size=(300, 200), chunks=(100, 50))
    y = ((x - x.mean(axis=0)) / x.std(axis=0)).T @ x
    pairs = [(y.compute(scheduler="sync"), y.compute(scheduler=miniray_dask_get)),
             (x.sum(axis=1).compute(scheduler="sync"), x.sum(axis=1).compute(scheduler=miniray_dask_get))]
    for theirs, ours in pairs:
        assert (theirs == ours).all()


def test_a_bag(dask):
    bag = pytest.importorskip("dask.bag")
    from miniray.util.dask import disable_dask_on_miniray, enable_dask_on_miniray

    words = bag.from_sequence([f"word{i % 7}" for i in range(500)], npartitions=8)
    counts = words.filter(lambda w: w != "word3").frequencies(sort=True)
    theirs = counts.compute(scheduler="sync")
    with enable_dask_on_miniray():
        assert counts.compute() == theirs
        pids = bag.from_sequence(range(8), npartitions=4).map(lambda _: os.getpid()).compute()
    assert os.getpid() not in pids
    enable_dask_on_miniray()
    total = words.map(len).fold(lambda a, b: a + b)
    assert total.compute() == total.compute(scheduler="sync")
    disable_dask_on_miniray()
    assert dask.config.get("scheduler", None) is None


def test_delayed(dask):
    from miniray.util.dask import miniray_dask_get

    @dask.delayed
    def add(a, b):
        return a + b

    total = add(0, 0)
    for i in range(30):
        total = add(total, i)
    assert total.compute(scheduler=miniray_dask_get) == 435
