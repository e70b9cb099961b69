-- Roles and grants, safe to run again. `sentiment-worker db roles` runs this file.
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['sentiment_owner', 'sentiment_worker', 'sentiment_analyst',
                            'sentiment_reviewer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', r);
            EXCEPTION
                WHEN insufficient_privilege THEN
                    RAISE NOTICE 'may not create role %', r;
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- somebody else made it just now
            END;
        END IF;
    END LOOP;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sentiment_owner') THEN
        GRANT ALL ON SCHEMA sentiment, analytics TO sentiment_owner;
        GRANT ALL ON ALL TABLES IN SCHEMA sentiment, analytics TO sentiment_owner;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA sentiment TO sentiment_owner;
    END IF;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sentiment_worker') THEN
        GRANT USAGE ON SCHEMA sentiment, analytics TO sentiment_worker;
        -- PUBLIC has it, unless a DBA took it away; here only who may give it does.
        BEGIN
            EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO sentiment_worker', current_database());
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'may not grant TEMPORARY on this database';
        END;
        GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA sentiment TO sentiment_worker;
        GRANT DELETE ON sentiment.quarantine TO sentiment_worker;
        IF to_regclass('sentiment.touched') IS NOT NULL THEN  -- since 0009
            GRANT DELETE ON sentiment.touched, sentiment.tally TO sentiment_worker;
        END IF;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA sentiment TO sentiment_worker;
        GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO sentiment_worker;
    END IF;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sentiment_analyst') THEN
        GRANT USAGE ON SCHEMA analytics TO sentiment_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO sentiment_analyst;
    END IF;

    IF to_regproc('analytics.review_say') IS NOT NULL THEN  -- since 0017
        FOREACH r IN ARRAY ARRAY['sentiment_owner', 'sentiment_worker', 'sentiment_reviewer'] LOOP
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
                EXECUTE format('GRANT EXECUTE ON FUNCTION analytics.review_say,'
                    ' analytics.review_skip, analytics.review_undo TO %I', r);
            END IF;
        END LOOP;
    END IF;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sentiment_reviewer') THEN
        GRANT USAGE ON SCHEMA analytics TO sentiment_reviewer;
        GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO sentiment_reviewer;
    END IF;
END $$;
