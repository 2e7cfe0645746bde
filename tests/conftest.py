def pytest_configure(config): config.addinivalue_line('markers', 'slow: minutes; run by `make test-all` only')
