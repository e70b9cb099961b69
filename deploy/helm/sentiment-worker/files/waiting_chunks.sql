SELECT count(*) FROM sentiment.chunk WHERE state = 'open' AND NOT parked AND visible_at <= now()
