"""What every capability stands on: settings, database, object store, clock, ids and errors. It knows no capability."""
