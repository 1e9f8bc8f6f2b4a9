from instance import add_numbers, process_data

from horsies import Err, Ok


def do_something(value):
    print("did something with", value)


def handle_error(error):
    print("handled", error.error_code)


# Send and wait for result
match add_numbers.send(5, 3):
    case Ok(handle):
        result = handle.get()
        if result.is_ok():
            do_something(result.ok_value)
        else:
            handle_error(result.err_value)
    case Err(send_err):
        print(f"Send failed: {send_err.code} - {send_err.message}")

# Send with blocking timeout
match process_data.send(data={"key": "value"}):
    case Ok(handle):
        result = handle.get(timeout_ms=5000)
        print(result.ok_value)
    case Err(send_err):
        print(f"Send failed: {send_err.code}")

match process_data.send(data={}):
    case Ok(handle):
        handle_error(handle.get(timeout_ms=5000).err_value)
    case Err(send_err):
        print(f"Send failed: {send_err.code}")
