-- A card-meter system with a stored procedure that sells energy once for one
-- serial.
CREATE TABLE meter (cons_no text PRIMARY KEY, cons_name text NOT NULL, buys bigint NOT NULL DEFAULT 0);
CREATE TABLE sale (id bigserial PRIMARY KEY, serial text UNIQUE NOT NULL, cons_no text NOT NULL, fen bigint NOT NULL CHECK (fen > 0), returned boolean NOT NULL DEFAULT false);
CREATE FUNCTION sell(p_serial text, p_cons text, p_fen bigint, OUT code text, OUT host_serial text, OUT amount bigint, OUT serial text)
LANGUAGE plpgsql AS $$
DECLARE old sale;
BEGIN
  serial := p_serial;
  SELECT * INTO old FROM sale s WHERE s.serial = p_serial;
  IF NOT FOUND THEN
    UPDATE meter SET buys = buys + 1 WHERE cons_no = p_cons;
    IF NOT FOUND THEN code := 'CUSTOMER'; RETURN; END IF;
    INSERT INTO sale(serial, cons_no, fen) VALUES (p_serial, p_cons, p_fen) RETURNING * INTO old;
  ELSIF old.fen <> p_fen OR old.cons_no <> p_cons THEN code := 'DUPLICATE'; RETURN;
  END IF;
  code := 'OK'; host_serial := 'M' || old.id; amount := old.fen;
END $$;
INSERT INTO meter(cons_no, cons_name) VALUES ('0512000001', '张三'), ('0512000002', '李四');
