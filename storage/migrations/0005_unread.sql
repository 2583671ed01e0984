-- Unread notifications are counted at every look at the list and marked read in one go.
-- migrate:up

create index notification_unread on notification (account_id, id) where read_at is null;

-- migrate:down
