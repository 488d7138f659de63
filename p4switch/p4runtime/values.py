"""Numbers as P4Runtime byte strings and P4Data messages: P4Runtime specification, "Bytestrings" and "P4Data"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finsy.proto import p4d, p4t

from p4switch.p4runtime.errors import Code, RequestError, invalid, out_of_range


def decode(data: bytes, width: int, what: str) -> int:
    """The unsigned number in a byte string of any length.

    Args:
        data: big-endian bytes; leading zeros are allowed.
        width: the largest number of bits, at least 1.
        what: names the value in an error.

    Raises:
        RequestError: OUT_OF_RANGE if the string is empty or its number needs more bits.
    """
    if not data:
        raise out_of_range(f"{what}: an empty byte string is not a number")
    number = int.from_bytes(data, "big")
    if number >> width:
        raise out_of_range(f"{what}: {_shown(number)} does not fit in {width} bits")
    return number


def _shown(number: int) -> str:
    """In hex, and short where a client sent thousands of digits."""
    return f"{number:#x}" if number.bit_length() <= 512 else f"a number of {number.bit_length()} bits"


def encode(number: int) -> bytes:
    """The canonical byte string of an unsigned number: the shortest one, and one zero byte for 0."""
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big")


def _decode_signed(data: bytes, width: int, what: str) -> int:
    if not data:
        raise out_of_range(f"{what}: an empty byte string is not a number")
    number = int.from_bytes(data, "big", signed=True)
    if not -(1 << (width - 1)) <= number < 1 << (width - 1):
        raise out_of_range(f"{what}: {_shown(number)} does not fit in int<{width}>")
    return number & ((1 << width) - 1)


def _encode_signed(bits: int, width: int) -> bytes:
    number = bits - (1 << width) if bits >> (width - 1) else bits
    length = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return number.to_bytes(length, "big", signed=True)


def encode_data(spec: p4t.P4DataTypeSpec, info: p4t.P4TypeInfo, numbers: Iterator[int]) -> p4d.P4Data:
    """A P4Data of the given type, its fields taken in order from `numbers` (raw bits, unsigned).

    Raises:
        RequestError: UNIMPLEMENTED for a type that neither registers nor digests of v1model have.
    """
    data = p4d.P4Data()
    kind = spec.WhichOneof("type_spec")
    if kind == "bitstring":
        _encode_bits(spec.bitstring, next(numbers), data)
    elif kind == "bool":
        data.bool = bool(next(numbers))
    elif kind == "struct":
        for member in info.structs[spec.struct.name].members:
            data.struct.members.append(encode_data(member.type_spec, info, numbers))
    elif kind == "tuple":
        for element in spec.tuple.members:
            data.tuple.members.append(encode_data(element, info, numbers))
    elif kind == "header":
        _encode_header(info.headers[spec.header.name], numbers, data)
    elif kind == "serializable_enum":
        data.enum_value = encode(next(numbers))
    elif kind == "enum":
        data.enum = _named(next(numbers), [member.name for member in info.enums[spec.enum.name].members])
    elif kind == "error":
        data.error = _named(next(numbers), info.error.members)
    elif kind == "new_type":
        return _encode_new_type(info.new_types[spec.new_type.name], info, numbers)
    else:
        raise RequestError(Code.UNIMPLEMENTED, f"data of the type {kind} cannot be carried")
    return data


def _encode_header(header: p4t.P4HeaderTypeSpec, numbers: Iterator[int], data: p4d.P4Data) -> None:
    data.header.is_valid = True
    for field in header.members:
        bits = p4d.P4Data()
        _encode_bits(field.type_spec, next(numbers), bits)
        data.header.bitstrings.append(bits.bitstring)


def _named(number: int, names: Sequence[str]) -> str:
    """A member's name; of a number that is none's, its digits."""
    return names[number] if number < len(names) else str(number)


def decode_data(spec: p4t.P4DataTypeSpec, info: p4t.P4TypeInfo, data: p4d.P4Data, what: str) -> list[int]:
    """The inverse of `encode_data`: the raw bits of each field, in order.

    Raises:
        RequestError: INVALID_ARGUMENT if the message is not of that type, OUT_OF_RANGE if a number is too large.
    """
    kind, given = spec.WhichOneof("type_spec"), data.WhichOneof("data")
    if kind == "new_type":
        new_type = info.new_types[spec.new_type.name]
        if new_type.HasField("translated_type"):
            width = new_type.translated_type.sdn_bitwidth
            return [decode(_expect(data, "bitstring", given, what).bitstring, width, what)]
        return decode_data(new_type.original_type, info, data, what)
    if kind == "bitstring":
        return [_decode_bits(spec.bitstring, _expect(data, "bitstring", given, what).bitstring, what)]
    if kind == "bool":
        return [int(_expect(data, "bool", given, what).bool)]
    if kind == "serializable_enum":
        width = info.serializable_enums[spec.serializable_enum.name].underlying_type.bitwidth
        return [decode(_expect(data, "enum_value", given, what).enum_value, width, what)]
    if kind == "struct":
        members = [member.type_spec for member in info.structs[spec.struct.name].members]
        parts = list(_expect(data, "struct", given, what).struct.members)
    elif kind == "tuple":
        members = list(spec.tuple.members)
        parts = list(_expect(data, "tuple", given, what).tuple.members)
    else:
        raise RequestError(Code.UNIMPLEMENTED, f"{what}: data of the type {kind} cannot be written")
    if len(parts) != len(members):
        raise invalid(f"{what}: {len(parts)} members where the type has {len(members)}")
    return [
        bits for member, part in zip(members, parts, strict=True) for bits in decode_data(member, info, part, what)
    ]


def data_width(spec: p4t.P4DataTypeSpec, info: p4t.P4TypeInfo) -> list[int]:
    """The widths in bits of the fields that `encode_data` takes and `decode_data` gives, in order; 0 for a translated
    type, whose width only the program knows."""
    kind = spec.WhichOneof("type_spec")
    if kind == "bitstring":
        return [_bits_width(spec.bitstring)]
    if kind == "bool":
        return [1]
    if kind == "serializable_enum":
        return [info.serializable_enums[spec.serializable_enum.name].underlying_type.bitwidth]
    if kind == "new_type":
        new_type = info.new_types[spec.new_type.name]
        if new_type.HasField("translated_type"):
            return [0]
        return data_width(new_type.original_type, info)
    if kind == "struct":
        return [
            width for member in info.structs[spec.struct.name].members for width in data_width(member.type_spec, info)
        ]
    if kind == "tuple":
        return [width for member in spec.tuple.members for width in data_width(member, info)]
    if kind == "header":
        return [_bits_width(field.type_spec) for field in info.headers[spec.header.name].members]
    return [32]


def _expect(data: p4d.P4Data, kind: str, given: str | None, what: str) -> p4d.P4Data:
    if given != kind:
        raise invalid(f"{what}: {given or 'no'} data where the P4Info says {kind}")
    return data


def _encode_new_type(new_type: p4t.P4NewTypeSpec, info: p4t.P4TypeInfo, numbers: Iterator[int]) -> p4d.P4Data:
    if new_type.HasField("translated_type"):
        return p4d.P4Data(bitstring=encode(next(numbers)))
    return encode_data(new_type.original_type, info, numbers)


def _bits_width(spec: p4t.P4BitstringLikeTypeSpec) -> int:
    kind = spec.WhichOneof("type_spec")
    if kind == "int":
        return spec.int.bitwidth
    return spec.bit.bitwidth if kind == "bit" else spec.varbit.max_bitwidth


def _encode_bits(spec: p4t.P4BitstringLikeTypeSpec, bits: int, data: p4d.P4Data) -> None:
    if spec.WhichOneof("type_spec") == "int":
        data.bitstring = _encode_signed(bits, spec.int.bitwidth)
    else:
        data.bitstring = encode(bits)


def _decode_bits(spec: p4t.P4BitstringLikeTypeSpec, data: bytes, what: str) -> int:
    if spec.WhichOneof("type_spec") == "int":
        return _decode_signed(data, _bits_width(spec), what)
    return decode(data, _bits_width(spec), what)
